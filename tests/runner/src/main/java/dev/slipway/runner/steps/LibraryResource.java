package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Step;

/** libraryResource name, encoding */
public final class LibraryResource extends Step {
    private static final long serialVersionUID = 1;

    @Override
    protected void start() throws Exception {
        success(Texts.decoded(build.loader.resource(arguments.required("resource")), arguments.text("encoding", false)));
    }
}
