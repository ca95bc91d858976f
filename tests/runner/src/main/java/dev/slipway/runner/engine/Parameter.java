package dev.slipway.runner.engine;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A parameter that a job or an approval asks for: string, text, booleanParam, choice, password. */
public record Parameter(String kind, String name, Object defaultValue, List<String> choices) {
    /** From string(name: ...) and its like. */
    public static Parameter of(Symbol symbol) {
        Object choices = symbol.get("choices");
        return new Parameter(symbol.symbol, symbol.string("name"), symbol.get("defaultValue"),
                choices instanceof List<?> list ? list.stream().map(String::valueOf).toList() : choices == null ? List.of()
                        : String.valueOf(choices).lines().toList());
    }

    /** As it stands in shared.yaml. */
    @SuppressWarnings("unchecked")
    static Parameter of(Map<String, Object> map) {
        return new Parameter((String) map.get("kind"), (String) map.get("name"), map.get("defaultValue"),
                (List<String>) map.getOrDefault("choices", List.of()));
    }

    public Map<String, Object> map() {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("kind", kind);
        map.put("name", name);
        map.put("defaultValue", defaultValue);
        map.put("choices", new java.util.ArrayList<>(choices));
        return map;
    }

    /** What was given, in the parameter's type, or the default where that is null. */
    public Object value(String given) {
        if (given != null && kind.equals("choice") && !choices.contains(given)) {
            throw new IllegalArgumentException("Illegal choice for parameter " + name + ": " + given);
        }
        Object value = given != null ? given : kind.equals("choice") ? choices.isEmpty() ? "" : choices.get(0) : defaultValue;
        return kind.equals("booleanParam") ? (Object) Boolean.parseBoolean(String.valueOf(value)) : value == null ? "" : value.toString();
    }
}
