package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Step;
import dev.slipway.runner.engine.Symbol;
import java.util.List;

/** properties([parameters([...]), disableConcurrentBuilds()]): a first build sees its own parameters' defaults. */
public final class Properties extends Step {
    @Override
    protected void start() {
        for (Object property : (List<?>) arguments.get("properties", true)) {
            if (property instanceof Symbol symbol && symbol.symbol.equals("parameters")) {
                for (Object each : (List<?>) symbol.single) {
                    Symbol parameter = (Symbol) each;
                    Object initial = parameter.get("defaultValue");
                    if (parameter.symbol.equals("choice")) {
                        initial = ((List<?>) parameter.get("choices")).get(0);
                    }
                    build.parameters.putIfAbsent(parameter.string("name"), initial == null ? "" : initial);
                }
            }
        }
        success(null);
    }
}
