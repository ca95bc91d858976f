package net.sf.json;

import java.util.LinkedHashMap;
import java.util.Map;

/** What Jenkins answers of a build: a map whose keys keep their order. */
public final class JSONObject extends LinkedHashMap<String, Object> {
    private static final long serialVersionUID = 1;

    public JSONObject(Map<String, ?> from) {
        super(from);
    }

    /** No script in the sandbox gets that far. */
    public static JSONObject fromObject(Object object) {
        throw new UnsupportedOperationException("net.sf.json is not there: a pipeline must not need it");
    }
}
