package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Jobs;
import dev.slipway.runner.engine.Parameter;
import dev.slipway.runner.engine.Step;
import dev.slipway.runner.engine.Symbol;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** properties([parameters([...]), disableConcurrentBuilds()]): the job's, from now on, in place of all that the step set before. */
public final class Properties extends Step {
    private static final long serialVersionUID = 1;

    @Override
    protected void start() throws Exception {
        Map<String, Object> properties = new LinkedHashMap<>();
        for (Object each : (List<?>) arguments.get("properties", true)) {
            if (each instanceof Symbol property) {
                properties.put(property.symbol, switch (property.symbol) {
                    case "parameters" -> parameters((List<?>) property.single);
                    case "disableConcurrentBuilds" -> Boolean.TRUE.equals(property.get("abortPrevious")) ? "abortPrevious" : "queue";
                    case "pipelineTriggers" ->
                            new ArrayList<>(((List<?>) property.single).stream().map(trigger -> ((Symbol) trigger).symbol).toList());
                    default -> true;
                });
            }
        }
        new Jobs(build.store.home(), build.store.job()).configure(properties);
        success(null);
    }

    private static List<Object> parameters(List<?> symbols) {
        return new ArrayList<>(symbols.stream().map(each -> (Object) Parameter.of((Symbol) each).map()).toList());
    }
}
