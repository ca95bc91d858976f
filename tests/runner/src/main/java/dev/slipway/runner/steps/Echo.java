package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Step;

/** echo message */
public final class Echo extends Step {
    private static final long serialVersionUID = 1;

    @Override
    protected void start() throws Exception {
        String message = arguments.required("message");
        if (message.isEmpty()) {
            build.console.line("");
        }
        message.lines().forEach(build.console::line);
        success(null);
    }
}
