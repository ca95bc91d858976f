package dev.slipway.runner.site;

import hudson.AbortException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The libraries that are configured, in their order, and where each version of them is. */
public final class Libraries {
    private record Library(String remote, String version, boolean overridable) {}

    private final Map<String, Library> known = new LinkedHashMap<>();
    /** Folders that stand for NAME@VERSION. */
    private final Map<String, String> versions = new LinkedHashMap<>();

    void read(Object given) {
        String remote = Yaml.text(Yaml.map(given, "retriever", "modernSCM", "scm", "git"), "remote");
        known.put(Yaml.text(given, "name"), new Library(remote, Yaml.text(given, "defaultVersion"), Yaml.flag(given,
                "allowVersionOverride", true)));
    }

    /** NAME, or NAME@VERSION: what the command line says wins. */
    public void add(String name, String remote) {
        if (name.contains("@")) {
            versions.put(name, remote);
            return;
        }
        Library before = known.get(name);
        known.put(name, new Library(remote, before == null ? null : before.version(), before == null || before.overridable()));
    }

    public boolean has(String name) {
        return known.containsKey(name);
    }

    /** Of two that have the same step the first that is configured is asked first, in whatever order they are named. */
    public List<String> inOrder(List<String> named) {
        List<String> all = new ArrayList<>(named);
        List<String> order = List.copyOf(known.keySet());
        all.sort((one, other) -> order.indexOf(one.split("@")[0]) - order.indexOf(other.split("@")[0]));
        return all;
    }

    /** The version that is meant: the one that is asked for, if that is allowed. */
    public String version(String name, String asked) throws AbortException {
        Library library = known.get(name);
        if (library == null) {
            throw new AbortException("No library named " + name + " found");
        }
        if (asked != null && !library.overridable()) {
            throw new AbortException("Version override not permitted for library " + name);
        }
        if (asked == null && library.version() == null && !isFolder(library.remote())) {
            throw new AbortException("No version specified for library " + name);
        }
        return asked != null ? asked : library.version();
    }

    private static boolean isFolder(String remote) {
        return Files.isDirectory(Path.of(remote)) && !Files.exists(Path.of(remote, "HEAD"));
    }

    /** The library's files: a folder as it is, a repository as a clone of that version. */
    public Path files(String name, String version, Path directory) throws IOException, InterruptedException {
        Library library = known.get(name);
        String folder = versions.getOrDefault(name + "@" + version, library.remote());
        if (isFolder(folder)) {
            if (folder.equals(library.remote()) && version != null && library.version() != null && !version.equals(library.version())) {
                throw new AbortException("No version " + version + " found for library " + name);
            }
            return Path.of(folder);
        }
        Path clone = directory.resolve("libs").resolve(name);
        if (!Files.isDirectory(clone)) {
            Git.run(null, "clone", "-q", "--no-checkout", folder, clone.toString());
            Git.run(clone, "checkout", "-q", version);
        }
        return clone;
    }
}
