package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Step;
import hudson.AbortException;

/** error message */
public final class ErrorStep extends Step {
    private static final long serialVersionUID = 1;

    @Override
    protected void start() {
        failure(new AbortException(arguments.text("message", true)));
    }
}
