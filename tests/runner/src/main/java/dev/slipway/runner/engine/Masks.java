package dev.slipway.runner.engine;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Base64;
import java.util.Comparator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * The forms of a secret that the console masks, those of the credentials-binding plugin: as it is, as shells
 * quote it, its base64 wherever that begins. What else can be made of a secret is shown.
 */
final class Masks {
    /** Shorter forms would mask half the console. */
    private static final int SHORTEST = 3;

    private Masks() {}

    static Pattern of(Set<String> secrets) {
        return Pattern.compile(secrets.stream().filter(secret -> !secret.isEmpty()).flatMap(secret -> forms(secret).stream())
                .filter(form -> form.length() >= SHORTEST).distinct()
                .sorted(Comparator.comparingInt(String::length).reversed().thenComparing(Comparator.naturalOrder()))
                .map(Pattern::quote).collect(Collectors.joining("|")));
    }

    private static Set<String> forms(String secret) {
        String quoted = secret.replace("'", "'\\''");
        Set<String> forms = new LinkedHashSet<>(List.of(secret, quoted, "'" + quoted + "'",
                secret.replaceAll("(\\\\)(\\\\?)", "$2"), secret.replaceAll("(\\^)(\\^?)", "$2"), secret.replace("$", "$$"),
                secret.replaceAll("('+)", "'\"$1\"'")));
        for (String before : List.of("", "a", "aa")) {
            for (Base64.Encoder encoder : List.of(Base64.getEncoder(), Base64.getUrlEncoder())) {
                String form = encoder.encodeToString((before + secret).getBytes(StandardCharsets.UTF_8)).substring(2 * before.length());
                forms.add(form);
                // The last letter before a padding depends on what follows the secret.
                forms.add(form.replaceAll(".={1,2}$", ""));
            }
        }
        return forms;
    }

    /** Each line for itself: a secret of several lines is not found. */
    static String masked(String text, Pattern pattern) {
        return pattern == null || pattern.pattern().isEmpty() ? text
                : Arrays.stream(text.split("\n",
                        -1)).map(line -> pattern.matcher(line).replaceAll("****")).collect(Collectors.joining("\n"));
    }
}
