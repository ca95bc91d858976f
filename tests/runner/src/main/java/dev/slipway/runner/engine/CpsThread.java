package dev.slipway.runner.engine;

import com.cloudbees.groovy.cps.Continuable;
import com.cloudbees.groovy.cps.Continuation;
import com.cloudbees.groovy.cps.Envs;
import com.cloudbees.groovy.cps.Outcome;
import com.cloudbees.groovy.cps.impl.CpsCallableInvocation;
import com.cloudbees.groovy.cps.impl.SourceLocation;
import groovy.lang.Closure;
import java.io.Serializable;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.function.Consumer;

/**
 * One thread of the program: the script itself, or a branch of parallel. A body
 * of a step is a program of its own above the one that called the step.
 */
public final class CpsThread implements Serializable {
    private final Build build;
    private final Deque<Frame> frames = new ArrayDeque<>();
    private final Ended ended;
    /** The innermost step that has begun and not ended, unless a body of it runs. */
    private Step running;

    /** Told once how the thread ended. */
    public interface Ended extends Consumer<Outcome>, Serializable {}

    /** A program, in which context it runs, and whose body it is. */
    private record Frame(Continuable program, Context context, Step owner) implements Serializable {}

    CpsThread(Build build, Continuable program, Context context, Ended ended) {
        this.build = build;
        this.ended = ended;
        frames.push(new Frame(program, context, null));
    }

    Context context() {
        return frames.peek().context();
    }

    /** Runs the body of a step above the program that called it. */
    void push(Step owner, Closure<?> body, Context inside) {
        running = null;
        Continuable program;
        Outcome at = null;
        try {
            Object value = body.call();
            program = null;
            at = new Outcome(value, null);
        } catch (CpsCallableInvocation invocation) {
            program = new Continuable(invocation.invoke(Envs.empty(), SourceLocation.UNKNOWN, Continuation.HALT));
        } catch (Throwable problem) {
            program = null;
            at = new Outcome(null, problem);
        }
        if (program == null) {
            Outcome outcome = at;
            build.post(() -> owner.bodyEnded(outcome));
            return;
        }
        frames.push(new Frame(program, inside, owner));
        build.post(() -> advance(new Outcome(null, null)));
    }

    /** Starts a branch. */
    public void begin() {
        advance(new Outcome(null, null));
    }

    /** Forgets what runs inside the body of this step, which goes on without it. */
    public void abandon(Step owner) {
        while (!frames.isEmpty() && frames.peek().owner() != owner) {
            frames.pop();
        }
        frames.pop();
        running = owner;
    }

    /** Goes on with the innermost program until it calls a step or ends. */
    void advance(Outcome with) {
        Frame frame = frames.peek();
        Outcome outcome;
        build.enter(this);
        try {
            outcome = frame.program().run0(with, Continuable.categories);
        } finally {
            build.leave();
        }
        if (outcome.isSuccess() && outcome.getNormal() instanceof Suspension suspension) {
            begin(suspension, frame.context());
            return;
        }
        frames.pop();
        if (frame.owner() == null) {
            ended.accept(outcome);
        } else {
            running = frame.owner();
            build.console.close(null);
            frame.owner().bodyEnded(outcome);
        }
    }

    private void begin(Suspension suspension, Context context) {
        try {
            Step step = build.steps.create(suspension.step());
            step.arguments = new Arguments(suspension.step(), suspension.arguments());
            step.context = context;
            step.build = build;
            step.thread = this;
            running = step;
            build.console.step(step);
            step.start();
        } catch (Throwable problem) {
            if (running != null) {
                running.failure(problem);
            } else {
                build.post(() -> advance(new Outcome(null, problem)));
            }
        }
    }

    void stepEnded(Step step, Outcome outcome) {
        running = null;
        build.console.stepEnded(step);
        advance(outcome);
    }

    /** Stops what runs innermost; what is around it may catch that. */
    public void stop(Throwable cause) {
        if (running != null) {
            running.stop(cause);
        }
    }

    /** The steps around what runs now, the innermost first. */
    public Iterable<Step> around() {
        return frames.stream().map(Frame::owner).filter(owner -> owner != null).toList();
    }
}
