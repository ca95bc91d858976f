package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Step;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import org.jenkinsci.plugins.workflow.steps.MissingContextVariableException;
import org.jenkinsci.plugins.workflow.steps.SynchronousResumeNotSupportedException;

/** A step that runs a program of its own on the node around it, as the agent and never in a container, and is at work until that ends. */
abstract class OnNode extends Step {
    private static final long serialVersionUID = 1;

    private transient Throwable stopped;

    @Override
    protected final void start() throws Exception {
        requireNode();
        announce();
    }

    protected final void requireNode() throws MissingContextVariableException {
        if (context.node == null) {
            throw new MissingContextVariableException("hudson.FilePath", name());
        }
    }

    /** What is said before the work. */
    protected void announce() throws Exception {}

    /** As in Jenkins: nobody knows how far it came. */
    @Override
    protected void resume() throws Exception {
        throw new SynchronousResumeNotSupportedException(name());
    }

    /** Told how the program ended, on the build's thread. */
    interface Then {
        void accept(int code, byte[] out) throws Exception;
    }

    /** Runs a program with this input. */
    protected void capture(String program, byte[] input, Then then) {
        build.begin();
        build.workers.submit(() -> {
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            int code = -1;
            Throwable problem = null;
            try {
                code = context.node.start(context.agent(), program, build.environment(context), input, out).await();
            } catch (Throwable lost) {
                problem = lost;
            }
            int exit = code;
            Throwable failed = (problem != null || code != 0) && context.node.isGone()
                    ? new AgentLost("Unable to create live FilePath for " + context.node.name()) : problem;
            build.post(() -> {
                build.ended();
                if (stopped != null) {
                    failure(stopped);
                } else if (failed != null) {
                    failure(failed instanceof AgentLost ? failed : new AgentLost("the agent does not answer: " + failed.getMessage()));
                } else {
                    tried(() -> then.accept(exit, out.toByteArray()));
                }
            });
        });
    }

    /** Whether a program was not allowed to touch a file: often one that a container has made as root. */
    static boolean denied(byte[] out) {
        return new String(out, StandardCharsets.UTF_8).contains("Permission denied");
    }

    /** A file's path as Java's own messages have it. */
    protected String absolute(String file) {
        return file.startsWith("/") ? file : context.directory + "/" + file;
    }

    static String quoted(String text) {
        return "'" + text.replace("'", "'\\''") + "'";
    }

    /** It is done when its program is, which is soon. */
    @Override
    public void stop(Throwable cause) {
        stopped = cause;
    }
}
