package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Step;

/** pwd() */
public final class Pwd extends Step {
    private static final long serialVersionUID = 1;

    @Override
    protected void start() {
        success(arguments.flag("tmp", false) ? context.directory + "@tmp" : context.directory);
    }
}
