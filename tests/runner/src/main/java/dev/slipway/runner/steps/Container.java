package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Step;

/** container name { }: steps run in this container of the pod. */
public final class Container extends Step {
    private static final long serialVersionUID = 1;

    @Override
    protected void start() throws Exception {
        runBody(context.withContainer(arguments.required("name")));
    }
}
