package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Step;
import hudson.AbortException;
import org.jenkinsci.plugins.workflow.steps.MissingContextVariableException;

/** load path: not there; a library does what it is for. */
public final class Load extends Step {
    private static final long serialVersionUID = 1;

    @Override
    protected void start() throws Exception {
        if (context.node == null) {
            throw new MissingContextVariableException("hudson.FilePath", name());
        }
        throw new AbortException("runner: load is not there");
    }
}
