package dev.slipway.runner.sandbox;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What the sandbox allows: the files in allowed/ have what Jenkins' own lists have. A class
 * stands alone in its line; the lines below it are its methods, fields (by name) and
 * constructors, with the types of each signature in parentheses.
 */
final class Whitelist {
    private static final List<String> FILES = List.of("collections", "engine", "groovy", "groovy-language", "groovy-text", "java",
            "jenkins", "time");
    private static final Pattern TYPES = Pattern.compile("\\(([^)]*)\\)");
    private static final Set<String> ALLOWED = new HashSet<>();

    static {
        FILES.forEach(Whitelist::read);
    }

    private Whitelist() {}

    private static void read(String file) {
        try (BufferedReader in = new BufferedReader(new InputStreamReader(Whitelist.class.getResourceAsStream("allowed/" + file + ".txt"),
                StandardCharsets.UTF_8))) {
            String type = null;
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                if (line.startsWith("  ")) {
                    add(type, line.strip());
                } else if (!line.startsWith("#")) {
                    type = line;
                }
            }
        } catch (IOException lost) {
            throw new UncheckedIOException("reading allowed/" + file, lost);
        }
    }

    private static void add(String type, String line) {
        String[] words = line.split(" ");
        if (words[0].endsWith("ield")) {
            List.of(words).subList(1, words.length).forEach(name -> ALLOWED.add(words[0] + " " + type + " " + name));
            return;
        }
        String begin = words[0] + " " + type + (words[0].equals("new") ? "" : " " + words[1]);
        Matcher types = TYPES.matcher(line);
        while (types.find()) {
            ALLOWED.add(types.group(1).isEmpty() ? begin : begin + " " + types.group(1));
        }
    }

    static Set<String> all() {
        return ALLOWED;
    }

    static boolean allows(String signature) {
        return ALLOWED.contains(signature);
    }
}
