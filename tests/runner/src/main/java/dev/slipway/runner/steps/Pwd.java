package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Step;

/** pwd() */
public final class Pwd extends Step {
    @Override
    protected void start() {
        success(arguments.flag("tmp", false) ? context.directory + "@tmp" : context.directory);
    }
}
