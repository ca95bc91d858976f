package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Step;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** withEnv(['NAME=value']) { } */
public final class WithEnv extends Step {
    private static final long serialVersionUID = 1;

    @Override
    protected void start() {
        Map<String, String> more = new LinkedHashMap<>();
        for (Object each : (List<?>) arguments.get("overrides", true)) {
            String text = String.valueOf(each);
            int equals = text.indexOf('=');
            String value = equals < 0 ? "" : text.substring(equals + 1);
            more.put(equals < 0 ? text : text.substring(0, equals), value.isEmpty() ? null : value);
        }
        runBody(context.withEnvironment(more));
    }
}
