package dev.slipway.runner.steps;

import com.cloudbees.groovy.cps.Outcome;
import dev.slipway.runner.engine.Clock;
import dev.slipway.runner.engine.Step;
import org.jenkinsci.plugins.workflow.cps.CpsThread;

/** waitUntil initialRecurrencePeriod, quiet { }: again and again, more and more seldom, until its body is true. */
public final class WaitUntil extends Step {
    private static final long serialVersionUID = 1;
    private static final long LONGEST = 15_000;

    private long period;
    private long next;
    private boolean waits;
    private transient Clock.Timer timer;

    @Override
    protected void start() {
        period = Math.max(250, arguments.number("initialRecurrencePeriod", false, 250));
        runBody(context);
    }

    @Override
    protected void resume() {
        if (waits) {
            again();
        }
    }

    @Override
    public void bodyEnded(CpsThread body, Outcome outcome) {
        if (outcome.isFailure() || Boolean.TRUE.equals(outcome.getNormal())) {
            end(outcome.isFailure() ? outcome : new Outcome(null, null));
            return;
        }
        if (!arguments.flag("quiet", false)) {
            say("Will try again after " + period / 10 / 100.0 + " sec");
        }
        next = build.clock.now() + period;
        period = Math.min(LONGEST, period * 6 / 5);
        waits = true;
        again();
    }

    private void again() {
        timer = build.clock.at(next, () -> {
            waits = false;
            runBody(context);
        });
    }

    @Override
    protected void closed(Outcome outcome) {
        if (timer != null) {
            timer.cancel();
        }
    }
}
