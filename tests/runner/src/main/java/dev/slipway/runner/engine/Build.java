package dev.slipway.runner.engine;

import com.cloudbees.groovy.cps.Outcome;
import com.cloudbees.groovy.cps.impl.CpsCallableInvocation;
import dev.slipway.runner.nodes.Cloud;
import dev.slipway.runner.sandbox.Sandbox;
import dev.slipway.runner.site.Answers;
import dev.slipway.runner.site.Libraries;
import dev.slipway.runner.site.Site;
import dev.slipway.runner.steps.NodeStep;
import dev.slipway.runner.steps.Timeout;
import hudson.AbortException;
import hudson.model.Result;
import java.io.IOException;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import jenkins.model.CauseOfInterruption;
import org.jenkinsci.plugins.workflow.cps.CpsClosure2;
import org.jenkinsci.plugins.workflow.cps.CpsThread;
import org.jenkinsci.plugins.workflow.cps.CpsThreadGroup;
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException;

/** One run of a pipeline in this process: its program, its clock, its console. All of it happens on one thread. */
public final class Build {
    private static final String WHAT_IT_IS =
            "runner: this is Slipway's test runner and not Jenkins: for tests and debugging, never for a delivery";
    private static final long FORCE_AFTER = 15_000;
    private static final ThreadLocal<Build> RUNNING = new ThreadLocal<>();

    public final Site site;
    public final Answers answers;
    public final Store store;
    public final Console console;
    public final Steps steps;
    public final Loader loader;
    public final Cloud cloud;
    public final Source source;
    public final Options options;
    /** For what blocks: processes, pods. */
    public final ExecutorService workers = Executors.newCachedThreadPool(task -> {
        Thread worker = new Thread(task);
        worker.setDaemon(true);
        return worker;
    });
    public Clock clock;
    public State state = new State();

    private final LinkedBlockingQueue<Runnable> queue = new LinkedBlockingQueue<>();
    private final List<Runnable> afterSave = new ArrayList<>();
    private CpsThreadGroup program;
    private CpsThread current;
    private Step actOn;
    private boolean actNow;
    private boolean done;
    private boolean clockHeld;
    private int busy;
    private final Map<Set<String>, Pattern> masks = new ConcurrentHashMap<>();

    public Build(Options options, Site site, Store store, Source source, Cloud cloud, PrintStream terminal) throws IOException {
        this.options = options;
        this.site = site;
        this.answers = options.answers;
        this.steps = new Steps(options.absent);
        this.store = store;
        this.source = source;
        this.cloud = cloud;
        this.clockHeld = options.heldClock;
        this.console = new Console(terminal, store.directory().resolve("log"));
        this.loader = new Loader(this);
        this.clock = new Clock(state);
    }

    /** The build whose thread this is. */
    public static Build current() {
        return RUNNING.get();
    }

    /** Runs the Jenkinsfile to its end. */
    public Result run(String jenkinsfile) throws Exception {
        enter();
        try {
            console.line(WHAT_IT_IS);
            CpsScript script;
            try {
                loadLibraries(jenkinsfile);
                script = loader.script(jenkinsfile);
            } catch (Exception problem) {
                ended(problem);
                return state.result;
            }
            console.line("[Pipeline] Start of Pipeline");
            program = new CpsThreadGroup(this, state);
            program.start(script, Context.empty().withEnvironment(site.environment()).withEnvironment(store.environment()));
            return loop();
        } finally {
            RUNNING.remove();
        }
    }

    /** Goes on with the program that an earlier process left on disk. */
    public Result resume(String jenkinsfile) throws Exception {
        enter();
        try {
            loader.addAgain();
            loader.script(jenkinsfile);
            program = Sandbox.whileSaving(() -> Persistence.load(store.program(), loader.classes()));
            state = program.state;
            clock = new Clock(state);
            if (options.away > 0) {
                clock.skipTo(clock.now() + options.away);
            }
            if (console.length() == state.logLength) {
                state.logNext.lines().forEach(console::line);
            }
            store.forgetStepsAfter(state.steps);
            console.line("Resuming build at " + new java.util.Date() + " after Jenkins restart");
            program.attach(this);
            List<NodeStep> lost = reconnect();
            program.resume(this);
            console.line("Ready to run at " + new java.util.Date());
            lost.forEach(NodeStep::giveUp);
            return loop();
        } finally {
            RUNNING.remove();
        }
    }

    /** Waits for every agent that a body runs on; those that do not come back. */
    private List<NodeStep> reconnect() throws InterruptedException {
        List<NodeStep> nodes = program.threads().stream().filter(thread -> thread.running() instanceof NodeStep)
                .map(thread -> (NodeStep) thread.running()).toList();
        nodes.forEach(NodeStep::reconnect);
        List<NodeStep> lost = nodes.stream().filter(NodeStep::isLost).toList();
        if (!lost.isEmpty() && options.virtualTime) {
            clock.skipTo(clock.now() + options.agentTimeout);
        } else if (!lost.isEmpty()) {
            TimeUnit.MILLISECONDS.sleep(options.agentTimeout);
        }
        lost.forEach(NodeStep::sayNotComingBack);
        return lost;
    }

    private void enter() {
        RUNNING.set(this);
        CpsCallableInvocation.registerMismatchHandler(this::mismatch);
    }

    /** A closure was called by something that cannot wait for a step in it: what it answers is lost. */
    private void mismatch(Object expected, String expectedName, Object actual, String actualName) {
        if (actual instanceof CpsClosure2) {
            String type = expected instanceof Class<?> known ? known.getName() : expected.getClass().getName();
            console.line("expected to call " + type + "." + expectedName + " but wound up catching " + actual.getClass().getName() + "."
                    + actualName
                    + "; see: https://jenkins.io/redirect/pipeline-cps-method-mismatches/");
        }
    }

    private void loadLibraries(String jenkinsfile) throws Exception {
        Map<String, String> named = Loader.named(jenkinsfile);
        List<String> unknown = named.keySet().stream().filter(name -> !site.libraries.has(name)).toList();
        if (!unknown.isEmpty()) {
            throw new LibrariesNotLoaded(new AbortException("Could not find any definition of libraries " + unknown));
        }
        try {
            for (Libraries.Chosen each : site.libraries.used(named)) {
                loader.add(each);
            }
        } catch (AbortException problem) {
            throw new LibrariesNotLoaded(problem);
        }
    }

    private Result loop() throws Exception {
        try (AutoCloseable watching = Requests.watch(this)) {
            while (!done) {
                go();
                if (!done) {
                    turn();
                }
            }
        }
        return state.result;
    }

    private void go() throws IOException {
        console.hold();
        try {
            program.run();
        } catch (java.io.NotSerializableException | LinkageError problem) {
            // What cannot be written, or a class that was initialised by the writing and failed: no catch and no finally of the program
            // runs.
            program.abandonAll();
            console.line("[Pipeline] End of Pipeline");
            ended(problem);
        } finally {
            console.release();
        }
    }

    private void turn() throws InterruptedException {
        Runnable next = queue.poll();
        if (next == null) {
            next = clock.due();
        }
        if (next == null) {
            Long at = clock.next();
            if (at != null && busy == 0 && options.virtualTime && !clockHeld) {
                clock.skipTo(at);
                return;
            }
            long wait = at == null ? 1000 : Math.max(1, at - clock.now());
            next = queue.poll(Math.min(wait, 1000), TimeUnit.MILLISECONDS);
        }
        if (next != null) {
            next.run();
        }
    }

    /** Does this on the build's own thread, after what is to be done before. */
    public void post(Runnable action) {
        queue.add(action);
    }

    /** Something outside the program runs: the clock may not skip meanwhile. */
    public void begin() {
        busy++;
    }

    public void ended() {
        busy--;
    }

    /** From now on the clock may skip what nobody waits for. */
    void releaseClock() {
        clockHeld = false;
    }

    public boolean isDone() {
        return done;
    }

    public CpsThreadGroup program() {
        return program;
    }

    public Outcome inProgram(CpsThread thread, Outcome with) {
        current = thread;
        try {
            return thread.run(with);
        } finally {
            current = null;
        }
    }

    int nextScript() {
        return ++state.scripts;
    }

    public int nextStep() {
        return ++state.steps;
    }

    /** A step of the program begins. */
    public void begins(Step step) {
        store.step(step);
        console.step(step);
        At.Action action = state.acted.contains(step.number()) ? null : options.at.of(step.number());
        if (action != null) {
            state.acted.add(step.number());
            if (action.kind() == At.Kind.FAIL) {
                step.failure(new AbortException("step " + step.number() + " was made to fail"));
                return;
            }
            actOn = step;
        }
        try {
            step.checkArguments();
            step.start();
        } catch (Throwable problem) {
            step.failure(problem);
        }
    }

    /** A step that something is to happen to has begun: the program has to be on disk first. */
    public boolean mustSaveNow() {
        return actOn != null;
    }

    void begun(Step step) {
        if (step == actOn) {
            actNow = true;
            if (step.beginsLater() && !step.hasEnded()) {
                acted();
            }
        }
    }

    /** What --at says for the step that has just begun. */
    public void acted() {
        if (!actNow) {
            return;
        }
        Step step = actOn;
        actNow = false;
        actOn = null;
        At.Action action = options.at.of(step.number());
        switch (action.kind()) {
            case KILL -> store.killThisProcess();
            case ABORT -> abortNow(site.user());
            case TIMEOUT -> timeOut(step);
            case RUN -> Background.start(action.command(), step, this);
            default -> throw new IllegalStateException("an action " + action.kind());
        }
    }

    private void timeOut(Step step) {
        for (Step around : step.thread().around()) {
            if (around instanceof Timeout timeout) {
                timeout.expireNow();
                return;
            }
        }
        console.line("runner: --at " + step.number() + "=timeout: no timeout is around that step");
    }

    /** Writes the program, and shows what it has said so far. */
    public void save() throws IOException {
        state.logLength = console.length();
        state.logNext = console.held();
        Sandbox.whileSaving(() -> {
            Persistence.save(program, loader.classes(), store.program());
            return null;
        });
        afterSave.forEach(workers::submit);
        afterSave.clear();
        console.release();
        console.hold();
    }

    /** Does this, beside the build, once it is on disk that the program is past what it needed until now. */
    public void afterSave(Runnable action) {
        afterSave.add(action);
    }

    /** The abort button. */
    public void abort(String user) {
        post(() -> abortNow(user));
    }

    void abortNow(String user) {
        String name = site.people.fullName(user);
        stop("Aborted by " + name, Result.ABORTED, new CauseOfInterruption.UserInterruption(name));
        clock.at(clock.now() + FORCE_AFTER, () -> console.line("Click here to forcibly terminate running steps"));
    }

    /** Stops whatever runs; that the build was told so is its result, unless it comes to a worse one. */
    void stop(String why, Result result, CauseOfInterruption cause) {
        console.line(why);
        state.told.add(cause);
        state.stopped = result;
        program.stop(new FlowInterruptedException(result, cause));
    }

    /** The causes of an interruption, each once in a build. */
    public void tell(FlowInterruptedException interrupted) {
        for (CauseOfInterruption cause : interrupted.getCauses()) {
            if (state.told.add(cause)) {
                console.line(cause.getShortDescription());
            }
        }
    }

    public void worsen(Result to) {
        if (state.result == null || to.isWorseThan(state.result)) {
            state.result = to;
        }
    }

    public void finish(Outcome outcome) {
        console.line("[Pipeline] End of Pipeline");
        ended(outcome.getAbnormal());
    }

    private void ended(Throwable problem) {
        if (problem instanceof FlowInterruptedException interrupted) {
            worsen(interrupted.getResult());
            tell(interrupted);
        } else if (problem != null) {
            worsen(Result.FAILURE);
            Problems.describe(problem, loader.classes()).forEach(console::line);
        }
        if (state.stopped != null) {
            worsen(state.stopped);
        }
        if (state.result == null) {
            state.result = Result.SUCCESS;
        }
        done = true;
        afterSave.forEach(workers::submit);
        store.finished(this);
        console.line("Finished: " + state.result);
    }

    /** params: what was given, and the defaults of what the job declares now. */
    Map<String, Object> parameters() {
        Map<String, Object> all = new HashMap<>();
        try {
            new Jobs(store.home(), store.job()).parameters().forEach(each -> all.put(each.name(), each.value(null)));
        } catch (IOException lost) {
            throw new java.io.UncheckedIOException("reading the parameters of " + store.job(), lost);
        }
        all.putAll(state.parameters);
        return all;
    }

    /** What the console masks within this context; null where there is nothing to mask. */
    public Pattern secrets(Context context) {
        Set<String> secrets = new LinkedHashSet<>();
        for (Object value : context.environment.values()) {
            try {
                if (value instanceof CredentialValue credential && credential.secret(site)) {
                    secrets.add(credential.in(site));
                }
            } catch (AbortException gone) {
                // A credential that is no longer there cannot be shown either.
            }
        }
        return secrets.isEmpty() ? null : masks.computeIfAbsent(secrets, Masks::of);
    }

    /** The environment that the program sees now: the agent's is below it. */
    public Map<String, String> environment() {
        if (current == null) {
            return new LinkedHashMap<>(state.environment);
        }
        Context context = current.context();
        Map<String, String> all = new LinkedHashMap<>(context.node == null ? Map.of() : context.node.environment());
        environment(context).forEach((name, value) -> {
            int plus = name.indexOf('+');
            if (plus > 0) {
                all.merge(name.substring(0, plus), value, (own, more) -> more + ":" + own);
            } else {
                all.put(name, value);
            }
        });
        return all;
    }

    /** What a step's process gets: variables set by env.X = ... come below those of withEnv. Null takes one away. */
    public Map<String, String> environment(Context context) {
        Map<String, String> all = new LinkedHashMap<>(state.environment);
        context.environment.forEach((name, value) -> all.put(name, value(value)));
        return all;
    }

    private String value(Object value) {
        try {
            return value instanceof CredentialValue credential ? credential.in(site) : value == null ? null : value.toString();
        } catch (AbortException gone) {
            return "";
        }
    }
}
