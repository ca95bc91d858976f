package org.jenkinsci.plugins.workflow.cps;

import dev.slipway.runner.engine.Build;
import dev.slipway.runner.engine.Context;
import dev.slipway.runner.engine.State;
import dev.slipway.runner.engine.Step;
import groovy.lang.Closure;
import groovy.lang.Script;
import java.io.IOException;
import java.io.Serializable;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** The whole program, as it is written to disk: its threads, and what the build has come to. */
public final class CpsThreadGroup implements Serializable {
    private static final long serialVersionUID = 1;

    private final Map<Integer, CpsThread> threads = new TreeMap<>();
    public final State state;
    private int nextId;
    private transient Build build;
    private transient Deque<CpsThread> runnable = new ArrayDeque<>();
    /** Began, but nothing outside has been done yet: that waits until the program is on disk. */
    private transient List<Step> fresh = new ArrayList<>();
    private transient boolean changed;

    public CpsThreadGroup(Build build, State state) {
        this.build = build;
        this.state = state;
    }

    public Build build() {
        return build;
    }

    public void start(Script script, Context context) {
        ready(add(new CpsThread(this, nextId++, script, context)));
    }

    /** A body of the step, which begins with the next turn. */
    public CpsThread body(Step owner, Closure<?> closure, Context inside) {
        CpsThread body = add(new CpsThread(this, nextId++, closure, inside, owner));
        ready(body);
        return body;
    }

    private CpsThread add(CpsThread thread) {
        threads.put(thread.id, thread);
        return thread;
    }

    void remove(CpsThread thread) {
        threads.remove(thread.id);
    }

    void ready(CpsThread thread) {
        changed = true;
        runnable.add(thread);
    }

    void begin(Step step) {
        changed = true;
        fresh.add(step);
        build.begins(step);
    }

    public List<CpsThread> threads() {
        return new ArrayList<>(threads.values());
    }

    List<CpsThread> bodiesOf(Step step) {
        return threads.values().stream().filter(thread -> thread.owner() == step).toList();
    }

    /** Forgets the bodies of this step, and what runs in them. */
    public void abandon(Step step) {
        for (CpsThread body : bodiesOf(step)) {
            if (body.running() != null) {
                abandon(body.running());
                body.running().abandoned();
            }
            runnable.remove(body);
            remove(body);
        }
    }

    /** The program cannot go on: what its steps took is given back. */
    public void abandonAll() {
        for (CpsThread thread : threads()) {
            if (thread.running() != null) {
                thread.running().abandoned();
            }
            remove(thread);
        }
        runnable.clear();
    }

    /** Stops what runs innermost in the bodies of this step. */
    public void stop(Step step, Throwable cause) {
        bodiesOf(step).forEach(body -> body.stop(cause));
    }

    /** Everything that runs. */
    public void stop(Throwable cause) {
        for (CpsThread thread : threads()) {
            if (thread.running() != null && bodiesOf(thread.running()).isEmpty()) {
                thread.stop(cause);
            }
        }
    }

    boolean mayGoOn() {
        return !build.isDone() && !build.mustSaveNow();
    }

    void goesOn(CpsThread thread) {
        runnable.remove(thread);
    }

    /**
     * Goes on with every thread that can; writes the program; then lets the new steps do
     * their work. As in Jenkins a body that has just begun, and what follows one that has
     * ended, wait until the program is written: that is when the classes they name are initialised.
     */
    public void run() throws IOException {
        while (changed && !build.isDone()) {
            for (CpsThread thread : List.copyOf(runnable)) {
                thread.go();
            }
            if (build.isDone()) {
                return;
            }
            changed = false;
            build.save();
            List<Step> begun = fresh;
            fresh = new ArrayList<>();
            begun.forEach(Step::beginOutside);
            build.acted();
            changed |= !runnable.isEmpty();
        }
    }

    /** In a new process: what ran goes on, where it can. */
    public void resume(Build in) {
        build = in;
        runnable = new ArrayDeque<>();
        fresh = new ArrayList<>();
        for (CpsThread thread : threads()) {
            if (thread.isRunnable()) {
                ready(thread);
            } else if (thread.running() != null) {
                thread.running().resumeOutside(in);
            }
        }
    }

    /** Every step that runs has to know its build before any of them goes on. */
    public void attach(Build in) {
        build = in;
        threads().stream().filter(thread -> thread.running() != null).forEach(thread -> thread.running().attach(in));
    }
}
