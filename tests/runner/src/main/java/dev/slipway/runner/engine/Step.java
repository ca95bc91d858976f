package dev.slipway.runner.engine;

import com.cloudbees.groovy.cps.Outcome;
import groovy.lang.Closure;
import java.io.Serializable;

/** A call of a step, from its start to its end. It ends once, by success or failure. */
public abstract class Step implements Serializable {
    protected Arguments arguments;
    protected Context context;
    protected Build build;
    CpsThread thread;
    private boolean ended;

    /** Begins. What takes time goes on elsewhere and comes back through build.post. */
    protected abstract void start() throws Exception;

    /** The body has ended; by default the step ends as it did. */
    protected void bodyEnded(Outcome outcome) {
        end(outcome);
    }

    /** Is asked to stop; by default it does so at once. */
    protected void stop(Throwable cause) {
        failure(cause);
    }

    /** The name in the console. */
    public String name() {
        return arguments.step();
    }

    protected Closure<?> body() {
        return arguments.body();
    }

    protected void runBody(Context inside) {
        runBody(null, inside);
    }

    /** The label is shown beside the opening brace. */
    protected void runBody(String label, Context inside) {
        build.console.open(label);
        thread.push(this, body(), inside);
    }

    protected void success(Object value) {
        end(new Outcome(value, null));
    }

    protected void failure(Throwable problem) {
        end(new Outcome(null, problem));
    }

    protected final void end(Outcome outcome) {
        build.post(() -> {
            if (!ended) {
                ended = true;
                closed(outcome);
                thread.stepEnded(this, outcome);
            }
        });
    }

    /** Told at the very end; a step that took something gives it back here. */
    protected void closed(Outcome outcome) {}

    protected final boolean hasEnded() {
        return ended;
    }

    protected CpsThread thread() {
        return thread;
    }
}
