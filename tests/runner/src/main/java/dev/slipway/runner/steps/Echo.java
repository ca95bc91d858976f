package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Step;

/** echo message */
public final class Echo extends Step {
    private static final long serialVersionUID = 1;

    @Override
    protected void start() throws Exception {
        String message = String.valueOf(arguments.text("message", true));
        if (message.isEmpty()) {
            say("");
        }
        message.lines().forEach(this::say);
        success(null);
    }
}
