package dev.slipway.runner.steps;

import com.cloudbees.groovy.cps.Outcome;
import dev.slipway.runner.engine.Context;
import dev.slipway.runner.engine.Step;
import dev.slipway.runner.nodes.Cloud;
import dev.slipway.runner.nodes.LocalNode;
import dev.slipway.runner.nodes.Node;
import hudson.AbortException;
import io.fabric8.kubernetes.api.model.Pod;
import java.util.LinkedHashMap;
import java.util.Map;

/** node label { }: on this machine, or in a new pod of the template around it. */
public final class NodeStep extends Step {
    private transient Pod pod;
    private transient Throwable stopped;

    @Override
    protected void start() throws Exception {
        String label = arguments.text("label", true);
        if (context.template == null || label == null || !label.equals(context.template.label())) {
            Node here = new LocalNode(build.store.directory().getParent().resolve("workspace"));
            inside(here);
            return;
        }
        if (build.cloud == null) {
            throw new AbortException("there is no Kubernetes cloud: give --cloud");
        }
        pod = build.cloud.plan(context.template, build.store.environment().get("BUILD_URL"), "job/" + build.store.job() + "/" + build.store.number() + "/");
        String name = pod.getMetadata().getName();
        build.begin();
        build.workers.submit(() -> {
            try {
                Node made = build.cloud.create(pod, context.template.connectTimeout(), build.store.job());
                build.post(() -> {
                    build.ended();
                    if (stopped != null) {
                        build.workers.submit(() -> build.cloud.delete(pod));
                        return;
                    }
                    build.console.line("Created Pod: kubernetes " + pod.getMetadata().getNamespace() + "/" + name);
                    inside(made);
                });
            } catch (Throwable problem) {
                build.post(() -> {
                    build.ended();
                    if (stopped == null) {
                        failure(problem instanceof AbortException ? new AgentLost(problem.getMessage()) : problem);
                    }
                });
            }
        });
    }

    private void inside(Node on) {
        build.console.line("Running on " + on.name() + " in " + on.workspace());
        Map<String, String> variables = new LinkedHashMap<>();
        variables.put("WORKSPACE", on.workspace());
        variables.put("WORKSPACE_TMP", on.workspace() + "@tmp");
        variables.put("NODE_NAME", on.name());
        Context here = context.withNode(on, on.workspace()).withEnvironment(variables);
        runBody(here);
    }

    /** Only while the pod is waited for; a body is stopped itself. */
    @Override
    protected void stop(Throwable cause) {
        stopped = cause;
        failure(cause);
    }

    @Override
    protected void closed(Outcome outcome) {
        if (pod != null && stopped == null) {
            build.workers.submit(() -> build.cloud.delete(pod));
        }
    }
}
