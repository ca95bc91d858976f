package dev.slipway.runner.sandbox;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.Set;

/** The signatures that the sandbox allows, one a line of whitelist.txt, as Jenkins writes them. */
final class Whitelist {
    private static final Set<String> ALLOWED = read();

    private Whitelist() {}

    private static Set<String> read() {
        Set<String> lines = new HashSet<>();
        try (BufferedReader in = new BufferedReader(new InputStreamReader(Whitelist.class.getResourceAsStream("whitelist.txt"), StandardCharsets.UTF_8))) {
            in.lines().map(String::strip).filter(line -> !line.isEmpty() && !line.startsWith("#")).forEach(lines::add);
        } catch (IOException lost) {
            throw new UncheckedIOException("reading whitelist.txt", lost);
        }
        return lines;
    }

    static boolean allows(String signature) {
        return ALLOWED.contains(signature);
    }
}
