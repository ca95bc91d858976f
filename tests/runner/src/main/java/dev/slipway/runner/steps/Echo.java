package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Step;

/** echo message */
public final class Echo extends Step {
    @Override
    protected void start() throws Exception {
        arguments.required("message").lines().forEach(build.console::line);
        success(null);
    }
}
