package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Step;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** withEnv(['NAME=value']) { }: nothing after the = takes a variable away. */
public final class WithEnv extends Step {
    private static final long serialVersionUID = 1;

    @Override
    protected void start() {
        Map<String, String> more = new LinkedHashMap<>();
        for (Object each : (List<?>) arguments.get("overrides", true)) {
            if (!(each instanceof String text) || text.indexOf('=') < 0) {
                throw arguments.notInstantiated("java.lang.reflect.InvocationTargetException");
            }
            int equals = text.indexOf('=');
            String value = text.substring(equals + 1);
            more.put(text.substring(0, equals), value.isEmpty() ? null : value);
        }
        runBody(context.withEnvironment(more));
    }
}
