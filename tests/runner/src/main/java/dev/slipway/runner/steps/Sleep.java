package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Clock;
import dev.slipway.runner.engine.Step;
import java.util.concurrent.TimeUnit;

/** sleep time, unit */
public final class Sleep extends Step {
    private transient Clock.Timer timer;

    @Override
    protected void start() {
        String unit = arguments.text("unit", false);
        long milliseconds = TimeUnit.valueOf(unit == null ? "SECONDS" : unit).toMillis(arguments.number("time", true, 0));
        build.console.line("Sleeping for " + Timeout.words(milliseconds));
        timer = build.clock.at(build.clock.now() + milliseconds, () -> success(null));
    }

    @Override
    protected void stop(Throwable cause) {
        timer.cancel();
        failure(cause);
    }
}
