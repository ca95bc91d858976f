package dev.slipway.runner.steps;

import com.cloudbees.groovy.cps.Outcome;
import dev.slipway.runner.engine.Clock;
import dev.slipway.runner.engine.Step;
import java.util.concurrent.TimeUnit;

/** sleep time, unit */
public final class Sleep extends Step {
    private static final long serialVersionUID = 1;

    private long end;
    private transient Clock.Timer timer;

    @Override
    protected void start() {
        String unit = arguments.text("unit", false);
        long milliseconds = TimeUnit.valueOf(unit == null ? "SECONDS" : unit).toMillis(arguments.number("time", true, 0));
        say("Sleeping for " + Timeout.words(milliseconds));
        end = build.clock.now() + milliseconds;
    }

    @Override
    protected void begin() {
        timer = build.clock.at(end, () -> success(null));
    }

    /** The time that passed while nobody was there counts. */
    @Override
    protected void resume() {
        long left = end - build.clock.now();
        say(left > 0 ? "Sleeping for another " + Timeout.words(left) : "No need to sleep any longer");
        begin();
    }

    @Override
    protected void closed(Outcome outcome) {
        if (timer != null) {
            timer.cancel();
        }
    }
}
