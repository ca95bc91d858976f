package dev.slipway.runner.engine;

import com.cloudbees.groovy.cps.Continuable;
import com.cloudbees.groovy.cps.Outcome;
import dev.slipway.runner.nodes.Cloud;
import dev.slipway.runner.site.Answers;
import dev.slipway.runner.site.Site;
import hudson.AbortException;
import hudson.model.Result;
import java.io.PrintStream;
import java.io.StringWriter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import jenkins.model.CauseOfInterruption;
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException;

/** One run of a pipeline: its program, its clock, its console and its result. All of it happens on one thread. */
public final class Build {
    private static Build running;

    public final Site site;
    public final Answers answers;
    public final Store store;
    public final Console console;
    public final Clock clock = new Clock();
    public final Steps steps = new Steps();
    public final Loader loader = new Loader();
    public final Cloud cloud;
    public final Stages stages = new Stages();
    public final Source source;
    /** For what blocks: processes, pods. */
    public final ExecutorService workers = Executors.newCachedThreadPool(task -> {
        Thread worker = new Thread(task);
        worker.setDaemon(true);
        return worker;
    });
    public final Map<String, Object> parameters = new LinkedHashMap<>();
    public String description;
    public Result result;

    private final LinkedBlockingQueue<Runnable> queue = new LinkedBlockingQueue<>();
    private final List<CpsThread> threads = new ArrayList<>();
    private final Map<String, String> ownEnvironment = new LinkedHashMap<>();
    private CpsThread current;
    private boolean done;
    private boolean aborted;
    private int busy;

    public Build(Site site, Answers answers, Store store, Source source, Cloud cloud, PrintStream terminal) throws Exception {
        this.site = site;
        this.answers = answers;
        this.store = store;
        this.source = source;
        this.cloud = cloud;
        this.console = new Console(terminal, store.directory().resolve("log"));
        running = this;
    }

    public static Build current() {
        return running;
    }

    /** Runs the Jenkinsfile to its end. */
    public Result run(String jenkinsfile) throws Exception {
        console.line("[Pipeline] Start of Pipeline");
        CpsScript script;
        try {
            for (String name : Loader.named(jenkinsfile)) {
                String[] parts = name.split("@", 2);
                loader.addLibrary(parts[0], site.library(parts[0], parts.length > 1 ? parts[1] : null, store.directory()));
            }
            script = loader.script("WorkflowScript", jenkinsfile);
        } catch (Exception problem) {
            finish(new Outcome(null, problem));
            return result;
        }
        Context context = Context.empty().withEnvironment(site.environment()).withEnvironment(store.environment());
        CpsThread main = new CpsThread(this, new Continuable(script), context, this::finish);
        threads.add(main);
        post(() -> main.advance(new Outcome(null, null)));
        while (!done) {
            turn();
        }
        return result;
    }

    private void turn() throws InterruptedException {
        Runnable next = queue.poll();
        if (next == null) {
            next = clock.due();
        }
        if (next == null) {
            Long at = clock.next();
            if (at != null && busy == 0 && site.virtualTime()) {
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

    void enter(CpsThread thread) {
        current = thread;
    }

    void leave() {
        current = null;
    }

    public CpsThread thread(Continuable program, Context context, CpsThread.Ended ended) {
        CpsThread thread = new CpsThread(this, program, context, ended);
        threads.add(thread);
        return thread;
    }

    public void remove(CpsThread thread) {
        threads.remove(thread);
    }

    /** The abort button. */
    public void abort(String user) {
        post(() -> {
            if (!aborted) {
                console.line("Aborted by " + user);
            }
            aborted = true;
            worsen(Result.ABORTED);
            for (CpsThread thread : List.copyOf(threads)) {
                thread.stop(new FlowInterruptedException(Result.ABORTED, new CauseOfInterruption.UserInterruption(user)));
            }
        });
    }

    public void worsen(Result to) {
        if (result == null || to.isWorseThan(result)) {
            result = to;
        }
    }

    private void finish(Outcome outcome) {
        console.line("[Pipeline] End of Pipeline");
        Throwable problem = outcome.getAbnormal();
        if (problem instanceof FlowInterruptedException interrupted) {
            worsen(interrupted.getResult());
            interrupted.getCauses().forEach(cause -> console.line(cause.getShortDescription()));
        } else if (problem != null) {
            worsen(Result.FAILURE);
            if (problem instanceof AbortException) {
                console.line("ERROR: " + problem.getMessage());
            } else {
                StringWriter trace = new StringWriter();
                problem.printStackTrace(new java.io.PrintWriter(trace));
                trace.toString().lines().limit(12).forEach(console::line);
            }
        }
        if (result == null) {
            result = Result.SUCCESS;
        }
        done = true;
        store.finished(this);
        console.line("Finished: " + result);
    }

    /** The environment that the program sees now. */
    public Map<String, String> environment() {
        Map<String, String> all = new LinkedHashMap<>(ownEnvironment);
        if (current != null) {
            all.putAll(current.context().environment);
        }
        return all;
    }

    void setEnvironment(String name, String value) {
        ownEnvironment.put(name, value);
    }

    /** What a step's process gets: variables set by env.X = ... come below those of withEnv. */
    public Map<String, String> environment(Context context) {
        Map<String, String> all = new LinkedHashMap<>(ownEnvironment);
        all.putAll(context.environment);
        return all;
    }

    /** What Jenkins gives to a script beside steps, or null. */
    Object global(String name, CpsScript script) {
        return switch (name) {
            case "env" -> new Globals.Environment();
            case "params" -> Map.copyOf(parameters);
            case "currentBuild" -> new Globals.CurrentBuild();
            case "scm" -> source == null ? null : source.description();
            case "steps" -> script;
            default -> loader.variable(name);
        };
    }
}
