package dev.slipway.runner.engine;

import com.cloudbees.groovy.cps.Outcome;
import groovy.lang.Closure;
import java.io.Serializable;
import org.jenkinsci.plugins.workflow.cps.CpsThread;

/**
 * A call of a step, from its start to its end. It ends once, by success or
 * failure. It is a part of the program on disk: what belongs to one process
 * (timers, connections) is transient and made again by resume.
 */
public abstract class Step implements Serializable {
    private static final long serialVersionUID = 1;

    protected Arguments arguments;
    protected Context context;
    protected transient Build build;
    private CpsThread thread;
    private boolean ended;
    /** Counts the steps of the build, from 1. */
    private int number;

    /** Says what it does, and answers where that needs nothing outside. Bodies are run from here. */
    protected abstract void start() throws Exception;

    /** Does its work outside: the program is on disk now. What takes time goes on elsewhere and comes back through build.post. */
    protected void begin() throws Exception {}

    /** Goes on in a new process; whether begin came to its end in the old one is not known. */
    protected void resume() throws Exception {
        begin();
    }

    /** A body has ended; by default the step ends as it did. */
    public void bodyEnded(CpsThread body, Outcome outcome) {
        end(outcome);
    }

    /** Is asked to stop; by default it does so at once. */
    public void stop(Throwable cause) {
        failure(cause);
    }

    /** Told at the very end; a step that took something gives it back here. */
    protected void closed(Outcome outcome) {}

    /** Whether begin returns before the work outside has begun; it calls begun itself then. */
    protected boolean beginsLater() {
        return false;
    }

    /** In the console, without the secrets around it. */
    protected final void say(String text) {
        build.console.line(text, build.secrets(context));
    }

    protected final void begun() {
        build.begun(this);
    }

    public final void of(CpsThread caller, Arguments given) {
        thread = caller;
        context = caller.context();
        arguments = given;
        build = caller.group().build();
        number = build.nextStep();
    }

    public final void attach(Build in) {
        build = in;
    }

    public final void beginOutside() {
        if (!ended) {
            tried(this::begin);
        }
        if (ended || !beginsLater()) {
            begun();
        }
    }

    public final void resumeOutside(Build in) {
        if (!ended) {
            tried(this::resume);
        }
    }

    /** What may fail, and fails the step then. */
    protected interface Work {
        void run() throws Exception;
    }

    protected final void tried(Work work) {
        try {
            work.run();
        } catch (Throwable problem) {
            failure(problem);
        }
    }

    /** Whether the console closes it. */
    boolean isBlock() {
        return body() != null || arguments.step().equals("parallel");
    }

    /** A text that is none is refused before anything begins. */
    void checkArguments() {
        build.steps.check(arguments);
        String unknown = build.steps.unknown(arguments);
        if (unknown != null) {
            build.console.line(unknown);
        }
    }

    /** The name in the console. */
    public String name() {
        return arguments.step();
    }

    public final int number() {
        return number;
    }

    public Arguments arguments() {
        return arguments;
    }

    public Context context() {
        return context;
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
        thread.group().body(this, body(), inside);
    }

    protected void success(Object value) {
        end(new Outcome(value, null));
    }

    protected void failure(Throwable problem) {
        end(new Outcome(null, problem));
    }

    protected final void end(Outcome outcome) {
        if (!ended) {
            ended = true;
            closed(outcome);
            build.console.stepEnded(this);
            thread.stepEnded(outcome);
        }
    }

    /** What was around it went on without it. */
    public final void abandoned() {
        if (!ended) {
            ended = true;
            closed(new Outcome(null, null));
        }
    }

    public final boolean hasEnded() {
        return ended;
    }

    public final CpsThread thread() {
        return thread;
    }
}
