package dev.slipway.runner.engine;

import dev.slipway.runner.site.Libraries;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;

/**
 * A library that a build has loaded: where its files are, and whether they are trusted. The build's file libraries has a line
 * for each, in their order: a later process needs them before it reads the program. Of one that is not trusted the build keeps a
 * copy, since a replay may change its files.
 */
record LoadedLibrary(String name, String version, boolean trusted, Path root) {
    private static final String FILE = "libraries";
    private static final String KEPT = "libs-kept";

    static LoadedLibrary of(Libraries.Chosen chosen, boolean trusted, Path root, Build build) throws IOException {
        Path own = root;
        if (!trusted) {
            own = build.store.directory().resolve(KEPT).resolve(chosen.name());
            copy(root, own);
        }
        return new LoadedLibrary(chosen.name(), chosen.version(), trusted, own.toAbsolutePath());
    }

    private static void copy(Path from, Path to) throws IOException {
        for (String folder : List.of("src", "vars", "resources")) {
            if (!Files.isDirectory(from.resolve(folder))) {
                continue;
            }
            try (Stream<Path> all = Files.walk(from.resolve(folder))) {
                for (Path each : all.toList()) {
                    Path target = to.resolve(from.relativize(each).toString());
                    if (Files.isDirectory(each)) {
                        Files.createDirectories(target);
                    } else {
                        Files.copy(each, target);
                    }
                }
            }
        }
    }

    /** Those that a build has loaded. */
    static List<LoadedLibrary> of(Path build) throws IOException {
        List<LoadedLibrary> all = new ArrayList<>();
        if (Files.exists(build.resolve(FILE))) {
            for (String line : Files.readAllLines(build.resolve(FILE))) {
                String[] parts = line.split("\t", -1);
                all.add(new LoadedLibrary(parts[0], parts[1].isEmpty() ? null : parts[1], parts[2].equals("trusted"), Path.of(parts[3])));
            }
        }
        return all;
    }

    void note(Path build) throws IOException {
        String line = String.join("\t", name, version == null ? "" : version, trusted ? "trusted" : "untrusted", root.toString());
        Files.writeString(build.resolve(FILE), line + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    }

    /** In a replay the files have the texts that it gives them. Answers which, as src/... or vars/.... */
    List<String> replaced(Options options) throws IOException {
        List<String> files = new ArrayList<>();
        if (trusted) {
            return files;
        }
        for (Map.Entry<String, String> each : options.replacements.entrySet()) {
            for (String folder : List.of("src", "vars")) {
                String file = folder + "/" + each.getKey().replace('.', '/') + ".groovy";
                if (Files.exists(root.resolve(file))) {
                    Files.writeString(root.resolve(file), each.getValue());
                    files.add(file);
                }
            }
        }
        return files;
    }

    /** What a replay of this build may change: each class of its libraries that are not trusted, with its text. */
    static Map<String, String> replaceable(Path build) throws IOException {
        Map<String, String> all = new TreeMap<>();
        for (LoadedLibrary each : of(build)) {
            for (String folder : each.trusted() ? List.<String>of() : List.of("src", "vars")) {
                Path sources = each.root().resolve(folder);
                if (!Files.isDirectory(sources)) {
                    continue;
                }
                try (Stream<Path> files = Files.walk(sources)) {
                    for (Path file : files.filter(found -> found.toString().endsWith(".groovy")).toList()) {
                        String name = sources.relativize(file).toString().replaceFirst("[.]groovy$", "").replace('/', '.');
                        all.put(name, Files.readString(file));
                    }
                }
            }
        }
        return all;
    }
}
