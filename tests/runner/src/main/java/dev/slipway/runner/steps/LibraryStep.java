package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Step;
import org.jenkinsci.plugins.workflow.libs.LoadedClasses;

/** library identifier, changelog: loads one while the build runs; its steps are there at once, its classes by what is answered. */
public final class LibraryStep extends Step {
    private static final long serialVersionUID = 1;

    @Override
    protected void start() throws Exception {
        String identifier = arguments.required("identifier");
        String name = identifier.split("@", 2)[0];
        if (build.loader.has(name)) {
            say("Only using first definition of library " + name);
        } else {
            String version = build.loader.addLibrary(identifier);
            build.store.addLibrary(identifier);
            say("Loading library " + name + (version == null ? "" : "@" + version));
        }
        success(new LoadedClasses());
    }
}
