package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Step;
import hudson.AbortException;
import java.util.Map;
import org.jenkinsci.plugins.workflow.steps.MissingContextVariableException;

/** container name { }: steps run in this container of the pod. */
public final class Container extends Step {
    private static final long serialVersionUID = 1;

    @Override
    protected void start() throws Exception {
        String container = arguments.required("name");
        if (context.node == null) {
            throw new MissingContextVariableException("hudson.FilePath", name());
        }
        if (!context.node.hasContainers()) {
            throw new AbortException("Node is not a Kubernetes node: ");
        }
        String shell = arguments.text("shell", false);
        runBody(context.withContainer(container, shell == null ? "sh" : shell).withEnvironment(Map.of("POD_CONTAINER", container)));
    }
}
