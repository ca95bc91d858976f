package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Step;

/** library identifier, changelog: loads one while the build runs; its steps are there at once, its classes by what is answered. */
public final class LibraryStep extends Step {
    private static final long serialVersionUID = 1;

    @Override
    protected void start() throws Exception {
        String[] parts = arguments.required("identifier").split("@", 2);
        success(build.loader.load(parts[0], parts.length > 1 ? parts[1] : null));
    }
}
