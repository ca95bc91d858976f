package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Step;

/** isUnix() */
public final class IsUnix extends Step {
    private static final long serialVersionUID = 1;

    @Override
    protected void start() {
        success(true);
    }
}
