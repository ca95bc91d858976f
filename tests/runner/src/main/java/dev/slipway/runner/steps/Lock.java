package dev.slipway.runner.steps;

import com.cloudbees.groovy.cps.Outcome;
import dev.slipway.runner.engine.Jobs;
import dev.slipway.runner.engine.Requests;
import dev.slipway.runner.engine.Step;
import java.io.IOException;
import java.util.Map;

/** lock resource, variable, skipIfLocked { }: held against every other build of this home. */
public final class Lock extends Step implements Requests.Asked {
    private static final long serialVersionUID = 1;

    private boolean held;

    @Override
    protected void start() throws Exception {
        say("Trying to acquire lock on [" + arguments.required("resource") + "]");
    }

    private String resource() {
        return arguments.text("resource", true);
    }

    private Jobs jobs() {
        return new Jobs(build.store.home(), build.store.job());
    }

    @Override
    protected void begin() throws IOException {
        boolean skips = arguments.flag("skipIfLocked", false);
        String holder = jobs().lock(resource(), build.store.number(), !skips);
        if (holder == null) {
            say("Resource [" + resource() + "] did not exist. Created.");
            acquired();
        } else if (skips) {
            say("[" + resource() + "] is locked by " + holder.replace("#", " #") + ", skipping execution...");
            success(null);
        } else {
            say("Found 0 available resource(s). Waiting for correct amount: 1.");
            say("[" + resource() + "] is locked by " + holder.replace("#", " #") + ", waiting...");
        }
    }

    private void acquired() {
        held = true;
        say("Lock acquired on [" + resource() + "]");
        String variable = arguments.text("variable", false);
        runBody(variable == null ? context : context.withEnvironment(Map.of(variable, resource())));
    }

    /** It may have been given while nobody was there. */
    @Override
    protected void resume() throws IOException {
        if (held) {
            return;
        }
        if (jobs().holds(resource(), build.store.number())) {
            acquired();
        } else if (!jobs().waits(resource(), build.store.number())) {
            begin();
        }
    }

    @Override
    public boolean asked(String what, String about, String user, Map<String, String> values) {
        if (!what.equals("lock") || !about.replace('\u00a0', ' ').equals(resource()) || held) {
            return false;
        }
        acquired();
        return true;
    }

    @Override
    protected void closed(Outcome outcome) {
        try {
            jobs().unlock(resource(), build.store.number());
        } catch (IOException lost) {
            say("runner: the lock " + resource() + " cannot be given back: " + lost.getMessage());
        }
        if (held) {
            say("Lock released on resource [" + resource() + "]");
        }
    }
}
