package dev.slipway.runner.steps;

import com.cloudbees.groovy.cps.Outcome;
import dev.slipway.runner.engine.Step;
import dev.slipway.runner.nodes.Cloud;
import dev.slipway.runner.nodes.LocalNode;
import dev.slipway.runner.nodes.Node;
import dev.slipway.runner.nodes.PodTemplate;
import hudson.AbortException;
import java.util.LinkedHashMap;
import java.util.Map;

/** node label { }: on this machine, or in a new pod of the template around it. */
public final class NodeStep extends Step {
    private static final long serialVersionUID = 1;

    /** The agent that was asked for; null on this machine. */
    private String agent;
    private transient volatile boolean stopped;

    @Override
    protected void start() throws Exception {
        String label = arguments.text("label", true);
        PodTemplate template = context.template;
        if (template == null || label == null || !label.equals(template.label())) {
            run(new LocalNode("Jenkins", build.store.directory().getParent().resolve("workspace"), build.options.localPath));
        } else if (build.cloud == null) {
            throw new AbortException("there is no Kubernetes cloud: give --cloud");
        } else {
            agent = build.cloud.name(template);
        }
    }

    @Override
    protected boolean beginsLater() {
        return agent != null;
    }

    @Override
    protected void begin() {
        if (agent == null) {
            return;
        }
        Cloud.Watcher watcher = new Cloud.Watcher() {
            @Override
            public void line(String text) {
                build.post(() -> build.console.line(text));
            }

            @Override
            public boolean isStopped() {
                return stopped;
            }
        };
        build.begin();
        build.workers.submit(() -> {
            try {
                build.cloud.create(agent, context.template, watcher);
                build.post(this::begun);
                Node made = build.cloud.await(agent, context.template, build.store.job(), watcher);
                build.post(() -> {
                    build.ended();
                    if (!hasEnded()) {
                        run(made);
                    }
                });
            } catch (Throwable problem) {
                build.post(() -> {
                    build.ended();
                    begun();
                    failure(problem instanceof AbortException ? new AgentLost(problem.getMessage()) : problem);
                });
            }
        });
    }

    /** As in Jenkins: a pod that was wanted when the controller stopped is waited for, and nobody makes it. */
    @Override
    protected void resume() {}

    private void run(Node on) {
        build.console.line("Running on " + on.name() + " in " + on.workspace());
        Map<String, String> variables = new LinkedHashMap<>();
        variables.put("WORKSPACE", on.workspace());
        variables.put("WORKSPACE_TMP", on.workspace() + "@tmp");
        variables.put("NODE_NAME", on.name());
        runBody(context.withNode(on, on.workspace()).withEnvironment(variables));
    }

    /** Only while the pod is waited for; a body is stopped itself. */
    @Override
    public void stop(Throwable cause) {
        stopped = true;
        failure(cause);
    }

    @Override
    protected void closed(Outcome outcome) {
        if (agent != null) {
            build.workers.submit(() -> build.cloud.delete(agent, context.template));
        }
    }
}
