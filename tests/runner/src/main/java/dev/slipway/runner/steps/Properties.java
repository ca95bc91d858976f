package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Jobs;
import dev.slipway.runner.engine.Step;
import dev.slipway.runner.engine.Symbol;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** properties([parameters([...]), disableConcurrentBuilds()]): the job's, from now on; a first build sees its own parameters' defaults. */
public final class Properties extends Step {
    private static final long serialVersionUID = 1;

    @Override
    protected void start() throws Exception {
        String concurrent = null;
        Map<String, Object> defaults = new LinkedHashMap<>();
        for (Object property : (List<?>) arguments.get("properties", true)) {
            if (property instanceof Symbol symbol && symbol.symbol.equals("parameters")) {
                for (Object each : (List<?>) symbol.single) {
                    Symbol parameter = (Symbol) each;
                    Object value = value(parameter, null);
                    defaults.put(parameter.string("name"), value);
                    build.state.parameters.putIfAbsent(parameter.string("name"), value);
                }
            } else if (property instanceof Symbol symbol && symbol.symbol.equals("disableConcurrentBuilds")) {
                concurrent = Boolean.TRUE.equals(symbol.get("abortPrevious")) ? "abortPrevious" : "queue";
            }
        }
        new Jobs(build.store.home(), build.store.job()).configure(concurrent, defaults);
        success(null);
    }

    /** A parameter's value: what was given, in the parameter's type, or its default. */
    static Object value(Symbol parameter, String given) {
        Object value = given != null ? given : parameter.symbol.equals("choice") ? first(parameter.get("choices")) : parameter.get("defaultValue");
        if (parameter.symbol.equals("booleanParam")) {
            return Boolean.parseBoolean(String.valueOf(value));
        }
        return value == null ? "" : value.toString();
    }

    private static Object first(Object choices) {
        return choices instanceof List<?> list ? list.get(0) : String.valueOf(choices).lines().findFirst().orElse("");
    }
}
