package dev.slipway.runner.site;

import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Reading a document whose parts may be missing; ${NAME} in a text stands for this process's environment. */
final class Yaml {
    private static final Pattern REFERENCE = Pattern.compile("\\$\\{([A-Za-z0-9_]+)}");

    private Yaml() {}

    static Map<?, ?> map(Object in, String... path) {
        Object found = in;
        for (String key : path) {
            found = found instanceof Map<?, ?> map ? map.get(key) : null;
        }
        return found instanceof Map<?, ?> map ? map : Map.of();
    }

    static List<?> list(Object in, String key) {
        return map(in).get(key) instanceof List<?> found ? found : List.of();
    }

    static boolean flag(Object in, String key, boolean otherwise) {
        return map(in).get(key) instanceof Boolean given ? given : otherwise;
    }

    static String text(Object in, String key) {
        Object found = map(in).get(key);
        return found == null ? null : REFERENCE.matcher(String.valueOf(found))
                .replaceAll(match -> Matcher.quoteReplacement(System.getenv().getOrDefault(match.group(1), "")));
    }
}
