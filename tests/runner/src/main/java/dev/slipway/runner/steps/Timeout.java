package dev.slipway.runner.steps;

import com.cloudbees.groovy.cps.Outcome;
import dev.slipway.runner.engine.Clock;
import dev.slipway.runner.engine.Step;
import hudson.model.Result;
import java.util.concurrent.TimeUnit;
import jenkins.model.CauseOfInterruption;
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException;

/**
 * timeout time, unit { }: stops its body, and when that has not ended a minute
 * later goes on without it. https://www.jenkins.io/doc/pipeline/steps/workflow-basic-steps/#timeout-enforce-time-limit
 */
public final class Timeout extends Step {
    private static final long GRACE = 60_000;

    private long deadline;
    private transient Clock.Timer timer;

    @Override
    protected void start() {
        String unit = arguments.text("unit", false);
        long milliseconds = TimeUnit.valueOf(unit == null ? "MINUTES" : unit).toMillis(arguments.number("time", true, 0));
        deadline = build.clock.now() + milliseconds;
        build.console.line("Timeout set to expire in " + words(milliseconds));
        timer = build.clock.at(deadline, this::expire);
        runBody(context);
    }

    /** When it runs out, by the build's clock. */
    long deadline() {
        return deadline;
    }

    private void expire() {
        build.console.line("Cancelling nested steps due to timeout");
        FlowInterruptedException cause = new FlowInterruptedException(Result.ABORTED, new CauseOfInterruption.ExceededTimeout());
        timer = build.clock.at(build.clock.now() + GRACE, () -> {
            if (!hasEnded()) {
                build.console.line("Body did not finish within grace period; terminating with extreme prejudice");
                thread().abandon(this);
                failure(cause);
            }
        });
        thread().stop(cause);
    }

    @Override
    protected void closed(Outcome outcome) {
        timer.cancel();
    }

    /** A time as Jenkins says it: 1 min 0 sec. */
    static String words(long milliseconds) {
        long seconds = milliseconds / 1000;
        long days = seconds / 86_400;
        long hours = seconds % 86_400 / 3600;
        long minutes = seconds % 3600 / 60;
        if (days > 0) {
            return days + (days == 1 ? " day " : " days ") + hours + " hr";
        }
        if (hours > 0) {
            return hours + " hr " + minutes + " min";
        }
        if (minutes > 0) {
            return minutes + " min " + seconds % 60 + " sec";
        }
        return seconds + " sec";
    }
}
