package dev.slipway.runner.site;

import hudson.AbortException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The libraries that are configured, and where each version of them is. As the pipeline-groovy-lib plugin does,
 * the folders' are asked first, then the global ones that are not trusted, then the global ones.
 */
public final class Libraries {
    private static final int SITE = 0;

    /** A library as an administrator, or who may configure a folder, has defined it. */
    public record Library(String name, String remote, String version, boolean overridable, boolean implicit, boolean trusted) {
        /** The version that is meant: the one that is asked for, if that is allowed. */
        private String version(String asked) throws AbortException {
            if (asked != null && !overridable) {
                throw new AbortException("Version override not permitted for library " + name);
            }
            if (asked == null && version == null && !isFolder(remote)) {
                throw new AbortException("No version specified for library " + name);
            }
            return asked != null ? asked : version;
        }
    }

    /** A library in the version that a build uses. */
    public record Chosen(Library library, String version) {
        public String name() {
            return library.name();
        }
    }

    private final Levels<Library> known;
    private final Map<String, Library> untrusted = new LinkedHashMap<>();
    /** Folders that stand for NAME@VERSION. */
    private final Map<String, String> versions = new LinkedHashMap<>();

    Libraries(int folders) {
        known = new Levels<>(folders);
    }

    /** Of a folder, where the level is above 0. */
    void read(int level, Object given) {
        known.put(level, Yaml.text(given, "name"), library(given, level == SITE));
    }

    /** Of the whole site, but sandboxed as the script is. */
    void readUntrusted(Object given) {
        untrusted.put(Yaml.text(given, "name"), library(given, false));
    }

    private static Library library(Object given, boolean trusted) {
        String remote = Yaml.text(Yaml.map(given, "retriever", "modernSCM", "scm", "git"), "remote");
        return new Library(Yaml.text(given, "name"), remote, Yaml.text(given, "defaultVersion"),
                Yaml.flag(given, "allowVersionOverride", true),
                Yaml.flag(given, "implicit", false), trusted);
    }

    /** NAME, or NAME@VERSION: what the command line says wins for a global one, and where a definition does not say itself where it is. */
    public void add(String name, String remote) {
        if (name.contains("@")) {
            versions.put(name, remote);
            return;
        }
        if (!has(name)) {
            known.put(SITE, name, new Library(name, remote, null, true, false, true));
        }
        known.change(name, each -> each.trusted() || each.remote() == null ? at(each, remote) : each);
        untrusted.computeIfPresent(name, (same, each) -> at(each, remote));
    }

    private static Library at(Library library, String remote) {
        return new Library(library.name(), remote, library.version(), library.overridable(), library.implicit(), library.trusted());
    }

    /** Whether it is defined anywhere. */
    public boolean has(String name) {
        return resolvers().stream().anyMatch(each -> each.stream().anyMatch(library -> library.name().equals(name)));
    }

    /** Those that are asked one after the other. */
    private List<List<Library>> resolvers() {
        return List.of(known.ofFolders(), List.copyOf(untrusted.values()), List.copyOf(known.of(SITE).values()));
    }

    /**
     * What a script uses that names these libraries, each with a version or null, and what it uses without naming it. Of a name
     * that is defined twice it is the first definition; they are loaded in the order in which they are configured.
     */
    public List<Chosen> used(Map<String, String> named) throws AbortException {
        Map<String, Chosen> used = new LinkedHashMap<>();
        for (List<Library> resolver : resolvers()) {
            for (Library each : resolver) {
                if ((each.implicit() || named.containsKey(each.name())) && !used.containsKey(each.name())) {
                    used.put(each.name(), new Chosen(each, each.version(named.get(each.name()))));
                }
            }
        }
        return new ArrayList<>(used.values());
    }

    /**
     * What the step library means. As in the plugin every resolver is asked: the place and the trust are those of the last
     * that knows the name, the version is that of the first that has one; the others take it for one that was asked for.
     */
    public Chosen atRunTime(String name, String asked) throws AbortException {
        Library found = null;
        String version = asked;
        for (List<Library> resolver : resolvers()) {
            Library first = resolver.stream().filter(each -> each.name().equals(name)).findFirst().orElse(null);
            if (first != null) {
                version = first.version(version);
                found = first;
            }
        }
        if (found == null) {
            throw new AbortException("No library named " + name + " found");
        }
        return new Chosen(found, version);
    }

    private static boolean isFolder(String remote) {
        return remote != null && Files.isDirectory(Path.of(remote)) && !Files.exists(Path.of(remote, "HEAD"));
    }

    /** The library's files: a folder as it is, a repository as a clone of that version. */
    public Path files(Chosen chosen, Path directory) throws IOException, InterruptedException {
        Library library = chosen.library();
        String name = library.name();
        String version = chosen.version();
        String folder = versions.getOrDefault(name + "@" + version, library.remote());
        if (folder == null) {
            throw new AbortException("library " + name + " has no retriever with a remote");
        }
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
