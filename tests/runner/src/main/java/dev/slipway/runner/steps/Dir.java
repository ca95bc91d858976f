package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Step;

/** dir path { } */
public final class Dir extends Step {
    @Override
    protected void start() throws Exception {
        String path = arguments.required("path");
        String inside = path.startsWith("/") ? path : context.directory + "/" + path;
        build.console.line("Running in " + inside);
        runBody(context.withDirectory(inside));
    }
}
