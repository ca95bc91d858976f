package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Step;
import hudson.model.Result;

/** unstable message */
public final class Unstable extends Step {
    private static final long serialVersionUID = 1;

    @Override
    protected void start() throws Exception {
        say("WARNING: " + arguments.required("message"));
        build.worsen(Result.UNSTABLE);
        success(null);
    }
}
