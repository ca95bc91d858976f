package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Step;

/** milestone: with one build at a time of a job nothing is ever overtaken. */
public final class Milestone extends Step {
    @Override
    protected void start() {
        success(null);
    }
}
