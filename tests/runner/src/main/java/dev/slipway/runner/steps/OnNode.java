package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Step;
import dev.slipway.runner.nodes.Node;
import hudson.AbortException;
import java.io.ByteArrayOutputStream;
import java.io.OutputStream;

/** A step that runs a program on the node around it. */
abstract class OnNode extends Step {
    private transient volatile Node.Execution execution;
    private transient volatile Throwable stopped;

    /** What to do with the exit code, on the build's thread. */
    interface Then {
        void accept(int code) throws Exception;
    }

    protected void run(String program, byte[] input, OutputStream out, Then then) throws AbortException {
        if (context.node == null) {
            throw new AbortException("Required context class hudson.FilePath is missing\nPerhaps you forgot to surround the step with a step that provides this, such as: node");
        }
        build.begin();
        build.workers.submit(() -> {
            int code;
            Throwable problem = null;
            try {
                execution = context.node.start(context.container, program, context.directory, build.environment(context), input, out);
                if (stopped != null) {
                    execution.stop();
                }
                code = execution.await();
            } catch (Throwable lost) {
                code = -1;
                problem = lost;
            }
            int exit = code;
            Throwable failed = problem;
            build.post(() -> {
                build.ended();
                try {
                    if (stopped != null) {
                        failure(stopped);
                    } else if (failed != null) {
                        failure(new AgentLost("the agent does not answer: " + failed.getMessage()));
                    } else {
                        then.accept(exit);
                    }
                } catch (Exception unexpected) {
                    failure(unexpected);
                }
            });
        });
    }

    /** A file's content, or a program's whole output. */
    protected void capture(String program, byte[] input, Captured then) throws AbortException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        run(program, input, out, code -> then.accept(code, out.toByteArray()));
    }

    interface Captured {
        void accept(int code, byte[] out) throws Exception;
    }

    static String quoted(String text) {
        return "'" + text.replace("'", "'\\''") + "'";
    }

    /** TERM to all its processes; the step ends when they have, or 20 s later without them. */
    @Override
    protected void stop(Throwable cause) {
        if (stopped != null) {
            return;
        }
        stopped = cause;
        build.console.line("Sending interrupt signal to process");
        Node.Execution running = execution;
        build.workers.submit(() -> {
            if (running != null) {
                running.stop();
            }
            return null;
        });
        build.clock.at(build.clock.now() + 20_000, () -> {
            if (!hasEnded()) {
                build.console.line("After 20s process did not stop");
                failure(cause);
            }
        });
    }
}
