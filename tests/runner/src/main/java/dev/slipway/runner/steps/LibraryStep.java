package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Step;
import hudson.AbortException;

/** library identifier: only what @Library has loaded already. */
public final class LibraryStep extends Step {
    private static final long serialVersionUID = 1;

    @Override
    protected void start() throws Exception {
        String name = arguments.required("identifier").split("@", 2)[0];
        if (!build.loader.has(name)) {
            throw new AbortException("No version specified for library " + name);
        }
        build.console.line("Only using first definition of library " + name);
        success(null);
    }
}
