package dev.slipway.runner.engine;

import groovy.lang.Closure;
import groovy.lang.GString;
import hudson.AbortException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A step's arguments: named ones, or one without a name, and a body. */
public final class Arguments implements Serializable {
    private final String step;
    private final Map<String, Object> named = new LinkedHashMap<>();
    private Object single;
    private boolean hasSingle;
    private Closure<?> body;

    private static final long serialVersionUID = 1;

    public Arguments(String step, Object[] given) {
        this.step = step;
        for (Object argument : given) {
            if (argument instanceof Closure<?> closure) {
                body = closure;
            } else if (argument instanceof Map<?, ?> map && !hasSingle) {
                map.forEach((key, value) -> named.put(String.valueOf(key), plain(value)));
            } else {
                single = plain(argument);
                hasSingle = true;
            }
        }
    }

    /** GStrings become text at the border, also inside lists and maps. */
    public static Object plain(Object value) {
        if (value instanceof GString) {
            return value.toString();
        }
        if (value instanceof List<?> list) {
            List<Object> copy = new ArrayList<>();
            list.forEach(each -> copy.add(plain(each)));
            return copy;
        }
        if (value instanceof Map<?, ?> map && !(value instanceof Symbol)) {
            Map<String, Object> copy = new LinkedHashMap<>();
            map.forEach((key, each) -> copy.put(String.valueOf(key), plain(each)));
            return copy;
        }
        return value;
    }

    public String step() {
        return step;
    }

    public Closure<?> body() {
        return body;
    }

    public Map<String, Object> named() {
        return named;
    }

    /** The named argument, or the one without a name where this is its place. */
    public Object get(String name, boolean isDefault) {
        return isDefault && hasSingle ? single : named.get(name);
    }

    public String text(String name, boolean isDefault) {
        Object value = get(name, isDefault);
        return value == null ? null : String.valueOf(value);
    }

    /** How Jenkins says that a step cannot be made of its arguments. */
    public IllegalArgumentException notInstantiated(String why) {
        Steps steps = Build.current().steps;
        Map<String, Object> shown = new LinkedHashMap<>(named);
        if (hasSingle) {
            shown.put(steps.parameters(step).get(0), single);
        }
        return new IllegalArgumentException("Could not instantiate " + shown + " for " + steps.type(step) + ": " + why);
    }

    /** A text is wanted where it stands: nothing else is made one. */
    void requireText(String name, boolean isDefault) {
        Object value = get(name, isDefault);
        if (value != null && !(value instanceof String)) {
            String type = Build.current().steps.type(step);
            throw notInstantiated("java.lang.ClassCastException: " + type + "." + name + " expects class java.lang.String but received "
                    + value.getClass());
        }
    }

    public String required(String name) throws AbortException {
        String value = text(name, true);
        if (value == null) {
            throw new AbortException("the step " + step + " needs " + name);
        }
        return value;
    }

    public boolean flag(String name, boolean otherwise) {
        Object value = named.get(name);
        return value == null ? otherwise : Boolean.parseBoolean(String.valueOf(value));
    }

    public long number(String name, boolean isDefault, long otherwise) {
        Object value = get(name, isDefault);
        return value == null ? otherwise : Long.parseLong(String.valueOf(value));
    }
}
