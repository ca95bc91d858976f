package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Step;
import org.jenkinsci.plugins.workflow.steps.MissingContextVariableException;

/** dir path { } */
public final class Dir extends Step {
    private static final long serialVersionUID = 1;

    @Override
    protected void start() throws Exception {
        if (context.node == null) {
            throw new MissingContextVariableException("hudson.FilePath", name());
        }
        String path = arguments.required("path");
        String inside = path.startsWith("/") ? path : context.directory + "/" + path;
        say("Running in " + inside);
        runBody(context.withDirectory(inside));
    }
}
