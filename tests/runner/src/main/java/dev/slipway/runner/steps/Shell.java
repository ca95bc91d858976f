package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Step;
import hudson.AbortException;
import java.util.UUID;
import org.jenkinsci.plugins.workflow.steps.MissingContextVariableException;

/** sh script, returnStdout, returnStatus, label: a real shell, which goes on while the controller is away. */
public final class Shell extends Step {
    private static final long serialVersionUID = 1;
    private static final long PATIENCE = 20_000;

    private final String id = UUID.randomUUID().toString().substring(0, 8);
    private Throwable stopped;
    private transient DurableTask task;
    /** Its agent is gone: it waits to be stopped. */
    private transient boolean disconnected;

    @Override
    protected void start() throws Exception {
        String script = arguments.text("script", true);
        if (script == null) {
            throw arguments.notInstantiated("java.lang.reflect.InvocationTargetException");
        }
        if (context.node == null) {
            throw new MissingContextVariableException("hudson.FilePath", name());
        }
        if (script.isEmpty()) {
            say("Warning: was asked to run an empty script");
        }
        build.state.stages.shell(context.stage);
    }

    @Override
    protected boolean beginsLater() {
        return true;
    }

    @Override
    protected void begin() throws Exception {
        NodeStep node = NodeStep.around(this);
        if (node.isRemoved()) {
            throw new AgentLost("Unable to create live FilePath for " + context.node.name());
        }
        task = new DurableTask(id, context, build, arguments.text("script", true), arguments.flag("returnStdout", false),
                arguments.text("encoding", false));
        task.number = number();
        build.begin();
        build.workers.submit(() -> {
            try {
                task.launch();
                build.post(this::begun);
                task.follow(this::activity);
                DurableTask.Answer answer = task.answer();
                build.post(() -> ended(answer, null));
            } catch (DurableTask.Gone gone) {
                build.post(this::begun);
                build.post(this::disconnect);
            } catch (Throwable lost) {
                build.post(this::begun);
                build.post(() -> ended(null, lost));
            }
        });
    }

    private void activity() {
        build.post(() -> thread().around().forEach(step -> {
            if (step instanceof Timeout timeout) {
                timeout.activity();
            }
        }));
    }

    /** The new process finds the shell where the old one left it, if its agent is still there. */
    @Override
    protected void resume() throws Exception {
        if (NodeStep.around(this).isLost()) {
            return;
        }
        begin();
        if (stopped != null) {
            kill(stopped);
        }
    }

    /** Whether the agent comes back is the node's business: what this step is then stopped with ends it. */
    private void disconnect() {
        build.ended();
        if (hasEnded()) {
            return;
        }
        say("Cannot contact " + context.node.name() + ": its connection is closed");
        disconnected = true;
        if (stopped != null) {
            failure(stopped);
        } else {
            NodeStep.around(this).missed();
        }
    }

    private void ended(DurableTask.Answer answer, Throwable lost) {
        build.ended();
        if (answer != null) {
            build.afterSave(task::cleanUp);
        }
        if (stopped != null) {
            if (answer != null && answer.code != 0 && !hasEnded()) {
                say("script returned exit code " + answer.code);
            }
            failure(stopped);
        } else if (lost != null) {
            failure(lost);
        } else if (arguments.flag("returnStatus", false)) {
            success(answer.code);
        } else if (answer.code != 0) {
            if (!answer.out.isEmpty()) {
                answer.out.lines().forEach(this::say);
            }
            failure(new AbortException("script returned exit code " + answer.code));
        } else {
            success(arguments.flag("returnStdout", false) ? answer.out : null);
        }
    }

    /** TERM to all its processes; the step ends when they have, or 20 s later without them. */
    @Override
    public void stop(Throwable cause) {
        if (task == null) {
            failure(cause);
        } else if (disconnected || NodeStep.around(this).isLost()) {
            say("Could not connect to " + context.node.name() + " to send interrupt signal to process");
            failure(cause);
        } else if (stopped == null) {
            stopped = cause;
            kill(cause);
        }
    }

    private void kill(Throwable cause) {
        say("Sending interrupt signal to process");
        build.workers.submit(() -> {
            task.terminate();
            return null;
        });
        build.clock.at(build.clock.now() + PATIENCE, () -> {
            if (!hasEnded()) {
                say("After 20s process did not stop");
                failure(cause);
            }
        });
    }
}
