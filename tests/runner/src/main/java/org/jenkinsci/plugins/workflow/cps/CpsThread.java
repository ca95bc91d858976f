package org.jenkinsci.plugins.workflow.cps;

import com.cloudbees.groovy.cps.Continuation;
import com.cloudbees.groovy.cps.Envs;
import com.cloudbees.groovy.cps.Outcome;
import com.cloudbees.groovy.cps.impl.CpsCallableInvocation;
import com.cloudbees.groovy.cps.impl.SourceLocation;
import com.cloudbees.groovy.cps.sandbox.SandboxInvoker;
import dev.slipway.runner.engine.Arguments;
import dev.slipway.runner.engine.Context;
import dev.slipway.runner.engine.Step;
import dev.slipway.runner.engine.Suspension;
import groovy.lang.Closure;
import groovy.lang.Script;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;

/** One line of the program's execution: the script itself, or a body of a step. It waits for at most one step. */
public final class CpsThread implements Serializable {
    private static final long serialVersionUID = 1;

    final int id;
    private final CpsThreadGroup group;
    private final Context context;
    private final Step owner;
    private SandboxContinuable program;
    private Step running;
    private Outcome pending;

    CpsThread(CpsThreadGroup group, int id, Script script, Context context) {
        this(group, id, context, (Step) null);
        program = new SandboxContinuable(script, Envs.empty(new SandboxInvoker()));
    }

    CpsThread(CpsThreadGroup group, int id, Closure<?> body, Context context, Step owner) {
        this(group, id, context, owner);
        try {
            // A closure that was not transformed has run when this returns.
            pending = new Outcome(body.call(), null);
        } catch (CpsCallableInvocation invocation) {
            program = new SandboxContinuable(invocation.invoke(Envs.empty(new SandboxInvoker()), SourceLocation.UNKNOWN,
                    Continuation.HALT));
            pending = new Outcome(null, null);
        } catch (Throwable problem) {
            pending = new Outcome(null, problem);
        }
    }

    private CpsThread(CpsThreadGroup group, int id, Context context, Step owner) {
        this.group = group;
        this.id = id;
        this.context = context;
        this.owner = owner;
        this.pending = new Outcome(null, null);
    }

    public Context context() {
        return context;
    }

    public CpsThreadGroup group() {
        return group;
    }

    /** The step that it waits for, or null. */
    public Step running() {
        return running;
    }

    boolean isRunnable() {
        return pending != null;
    }

    /** Goes on until the program waits for a step, or ends. */
    void go() {
        while (isRunnable() && group.mayGoOn()) {
            group.goesOn(this);
            goToTheNextStep();
        }
    }

    private void goToTheNextStep() {
        Outcome outcome = pending;
        pending = null;
        if (program != null) {
            outcome = group.build().inProgram(this, outcome);
        }
        if (outcome.isSuccess() && outcome.getNormal() instanceof Suspension suspension) {
            begin(suspension);
        } else if (owner == null) {
            group.remove(this);
            group.build().finish(outcome);
        } else {
            group.remove(this);
            group.build().console.close();
            owner.bodyEnded(this, outcome);
        }
    }

    public Outcome run(Outcome with) {
        return program.go(with);
    }

    private void begin(Suspension suspension) {
        running = group.build().steps.create(suspension.step);
        running.of(this, new Arguments(suspension.step, suspension.arguments));
        group.begin(running);
    }

    /** The step has ended: the program goes on with what it answered. */
    public void stepEnded(Outcome outcome) {
        running = null;
        pending = outcome;
        group.ready(this);
    }

    /** Stops what runs innermost; what is around it may catch that. */
    public void stop(Throwable cause) {
        if (running == null) {
            return;
        }
        List<CpsThread> bodies = group.bodiesOf(running);
        if (bodies.isEmpty()) {
            running.stop(cause);
        } else {
            bodies.forEach(body -> body.stop(cause));
        }
    }

    Step owner() {
        return owner;
    }

    /** The steps around it, the innermost first. */
    public List<Step> around() {
        List<Step> steps = new ArrayList<>();
        for (Step step = owner; step != null; step = step.thread().owner) {
            steps.add(step);
        }
        return steps;
    }
}
