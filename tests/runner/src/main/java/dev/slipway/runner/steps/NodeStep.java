package dev.slipway.runner.steps;

import com.cloudbees.groovy.cps.Outcome;
import dev.slipway.runner.engine.Clock;
import dev.slipway.runner.engine.Step;
import dev.slipway.runner.nodes.LocalNode;
import dev.slipway.runner.nodes.NoAgent;
import dev.slipway.runner.nodes.Node;
import dev.slipway.runner.nodes.PodTemplate;
import hudson.AbortException;
import hudson.model.Result;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import jenkins.model.CauseOfInterruption;
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException;

/** node label { }: on this machine, or in a new pod of the template around it. */
public final class NodeStep extends Step {
    private static final long serialVersionUID = 1;
    private static final long QUIET = 15_000;
    private static final int PAUSE_SECONDS = 5;

    private PodTemplate template;
    /** The agent that was asked for; null on this machine. */
    private volatile String agent;
    /** What the body runs on. */
    private Node node;
    /** The agent will not come back; the body is told once the patience with it is over. */
    private boolean lost;
    private boolean removed;
    private transient volatile boolean created;
    private transient CompletableFuture<Void> stop;
    private transient AutoCloseable watch;
    private transient Clock.Timer timer;

    @Override
    protected void start() throws Exception {
        String label = arguments.text("label", true);
        template = label == null ? null : PodTemplate.labelled(label, context.template);
        if (template == null && label != null && build.cloud != null) {
            template = build.site.template(label);
        }
        if (template == null) {
            run(new LocalNode("Jenkins", build.store.directory().getParent().resolve("workspace"), build.options.localPath, false));
        } else if (build.cloud == null) {
            throw new AbortException("there is no Kubernetes cloud: give --cloud");
        } else {
            agent = build.cloud.name(template);
        }
    }

    @Override
    protected boolean beginsLater() {
        return template != null;
    }

    @Override
    protected void begin() {
        if (template == null) {
            return;
        }
        stop = new CompletableFuture<>();
        build.begin();
        timer = build.clock.at(build.clock.now() + QUIET, () -> {
            say("Still waiting to schedule task");
            say(created ? "‘" + agent + "’ is offline" : "All nodes of label ‘" + template.label + "’ are offline");
        });
        build.workers.submit(() -> {
            try {
                provision();
            } catch (Throwable problem) {
                begunThen(() -> failure(problem));
            }
        });
    }

    private void begunThen(Runnable next) {
        build.post(() -> {
            build.ended();
            begun();
            if (!hasEnded()) {
                next.run();
            }
        });
    }

    /** One agent after the other, until one is connected, or it makes no sense any more. */
    private void provision() throws Exception {
        while (!stop.isDone()) {
            try {
                build.cloud.create(agent, template, this::tell);
                created = true;
                build.post(this::begun);
                Node made = build.cloud.await(agent, template, build.store.job(), this::tell, stop);
                if (made != null) {
                    begunThen(() -> run(made));
                    return;
                }
            } catch (NoAgent none) {
                created = false;
                tell(none.getMessage());
                build.cloud.delete(agent, template);
                if (!none.again) {
                    begunThen(() -> failure(new FlowInterruptedException(Result.ABORTED, new CauseOfInterruption.QueueTaskCancelled())));
                    return;
                }
                pause();
                agent = build.cloud.name(template);
            }
        }
        build.cloud.delete(agent, template);
        begunThen(() -> {});
    }

    private void pause() throws Exception {
        try {
            stop.get(PAUSE_SECONDS, TimeUnit.SECONDS);
        } catch (TimeoutException over) {
            // The next one.
        }
    }

    private void tell(String text) {
        if (!text.isEmpty()) {
            build.post(() -> say(text));
        }
    }

    /** As in Jenkins: a pod that was wanted when the controller stopped is waited for, and nobody makes it. */
    @Override
    protected void resume() {}

    /** In a new process, before anything goes on: the body's agent has to be there again. */
    public void reconnect() {
        if (template != null && node != null) {
            say("Waiting for reconnection of " + node.name() + " before proceeding with build");
            lost |= node.isGone();
            if (!lost) {
                follow();
            }
        }
    }

    /** Whether the agent went away while nobody watched. */
    public boolean isLost() {
        return lost;
    }

    /** It did: the body is told at once. */
    public void giveUp() {
        removed = true;
        sayNotComingBack();
        thread().group().stop(this, cause());
    }

    public void sayNotComingBack() {
        say(node.name() + " has been removed for " + Timeout.words(build.options.agentTimeout) + ", assuming it is not coming back");
    }

    private void run(Node on) {
        node = on;
        if (timer != null) {
            timer.cancel();
        }
        say("Running on " + on.name() + " in " + on.workspace());
        Map<String, String> variables = new LinkedHashMap<>();
        variables.put("WORKSPACE", on.workspace());
        variables.put("WORKSPACE_TMP", on.workspace() + "@tmp");
        variables.put("NODE_NAME", on.name());
        variables.put("EXECUTOR_NUMBER", "0");
        if (template != null) {
            variables.put("NODE_LABELS", template.label + " " + on.name());
            follow();
        }
        runBody(context.withNode(on, on.workspace()).withEnvironment(variables));
    }

    private void follow() {
        build.workers.submit(() -> {
            AutoCloseable following = build.cloud.follow(node, this::tell, () -> build.post(this::lose));
            build.post(() -> {
                watch = following;
                if (hasEnded()) {
                    unwatch();
                }
            });
        });
    }

    private void unwatch() {
        AutoCloseable following = watch;
        if (following != null) {
            build.workers.submit(() -> {
                following.close();
                return null;
            });
        }
    }

    /** The agent is gone; whoever finds out first says so. */
    void lose() {
        if (hasEnded() || lost) {
            return;
        }
        lost = true;
        build.workers.submit(() -> build.cloud.delete(agent, template));
        timer = build.clock.at(build.clock.now() + build.options.agentTimeout, this::remove);
    }

    /** A program of the body has missed the agent; without a watch nobody else will. */
    void missed() {
        if (watch == null) {
            lose();
        }
    }

    private void remove() {
        removed = true;
        say("Agent " + agent + " was deleted; cancelling node body");
        thread().group().stop(this, cause());
    }

    private FlowInterruptedException cause() {
        return new FlowInterruptedException(Result.ABORTED, new CauseOfInterruption.RemovedNodeCause(node.name(), template.label));
    }

    /** The node around a step, or null. */
    static NodeStep around(Step step) {
        return step.thread().around().stream().filter(each -> each instanceof NodeStep).map(each -> (NodeStep) each).findFirst()
                .orElse(null);
    }

    /** Nothing can be started there any more, and everybody knows. */
    boolean isRemoved() {
        return removed;
    }

    /** Only while the pod is waited for; a body is stopped itself. */
    @Override
    public void stop(Throwable cause) {
        if (stop != null) {
            stop.complete(null);
        }
        failure(cause);
    }

    @Override
    protected void closed(Outcome outcome) {
        if (timer != null) {
            timer.cancel();
        }
        unwatch();
        if (agent != null) {
            build.workers.submit(() -> build.cloud.delete(agent, template));
        }
    }
}
