package dev.slipway.runner.site;

import dev.slipway.runner.nodes.Templates;
import java.util.ArrayList;
import java.util.LinkedHashMap;
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

    /**
     * Maps and lists of its own that can be written to disk, with the references in texts resolved. An entry of a list that has
     * nothing but its kind's name and values, {emptyDirVolume: {...}}, is those values with the kind beside them.
     */
    static Map<String, Object> plain(Map<?, ?> given) {
        Map<String, Object> copy = new LinkedHashMap<>();
        given.forEach((key, value) -> copy.put(String.valueOf(key), plain(value)));
        return copy;
    }

    private static Object plain(Object value) {
        if (value instanceof List<?> list) {
            List<Object> copy = new ArrayList<>();
            list.forEach(each -> copy.add(plain(each)));
            return copy;
        }
        if (value instanceof Map<?, ?> map) {
            if (map.size() == 1 && map.values().iterator().next() instanceof Map<?, ?> values) {
                Map<String, Object> entry = plain(values);
                entry.put(Templates.KIND, String.valueOf(map.keySet().iterator().next()));
                return entry;
            }
            return plain(map);
        }
        return value instanceof String text ? resolved(text) : value;
    }

    static String text(Object in, String key) {
        Object found = map(in).get(key);
        return found == null ? null : resolved(String.valueOf(found));
    }

    private static String resolved(String text) {
        return REFERENCE.matcher(text).replaceAll(match -> Matcher.quoteReplacement(System.getenv().getOrDefault(match.group(1), "")));
    }
}
