package dev.slipway.runner.steps;

import com.cloudbees.groovy.cps.Outcome;
import dev.slipway.runner.engine.Clock;
import dev.slipway.runner.engine.Step;
import hudson.model.Result;
import java.util.concurrent.TimeUnit;
import jenkins.model.CauseOfInterruption;
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException;

/**
 * timeout time, unit, activity { }: stops its body, and when that has not ended a minute
 * later goes on without it. https://www.jenkins.io/doc/pipeline/steps/workflow-basic-steps/#timeout-enforce-time-limit
 */
public final class Timeout extends Step {
    private static final long serialVersionUID = 1;
    private static final long GRACE = 60_000;

    private long limit;
    private long deadline;
    private boolean expired;
    private transient Clock.Timer timer;

    @Override
    protected void start() {
        String unit = arguments.text("unit", false);
        limit = TimeUnit.valueOf(unit == null ? "MINUTES" : unit).toMillis(arguments.number("time", true, 0));
        deadline = build.clock.now() + limit;
        say(followsActivity() ? "Timeout set to expire after " + words(limit) + " without activity" : "Timeout set to expire in "
                + words(limit));
        runBody(context);
    }

    /** From its start, not only once the program is on disk: its body may have ended before. */
    @Override
    protected void begin() {
        set();
    }

    @Override
    protected void resume() {
        if (!expired) {
            say("Timeout set to expire in " + words(Math.max(0, deadline - build.clock.now())));
        }
        set();
    }

    private boolean followsActivity() {
        return arguments.flag("activity", false);
    }

    private void set() {
        timer = build.clock.at(deadline, expired ? this::abandon : this::expire);
    }

    /** Something inside has printed a line. */
    void activity() {
        if (followsActivity() && !expired && !hasEnded() && timer != null) {
            timer.cancel();
            deadline = build.clock.now() + limit;
            set();
        }
    }

    /** When it runs out, by the build's clock. */
    long deadline() {
        return deadline;
    }

    /** Runs out at once, whatever its time. */
    public void expireNow() {
        if (timer != null) {
            timer.cancel();
        }
        expire();
    }

    private FlowInterruptedException cause() {
        return new FlowInterruptedException(Result.ABORTED, new CauseOfInterruption.ExceededTimeout());
    }

    private void expire() {
        say("Cancelling nested steps due to timeout");
        expired = true;
        deadline = build.clock.now() + GRACE;
        set();
        thread().group().stop(this, cause());
    }

    private void abandon() {
        say("Body did not finish within grace period; terminating with extreme prejudice");
        thread().group().abandon(this);
        failure(cause());
    }

    @Override
    protected void closed(Outcome outcome) {
        if (timer != null) {
            timer.cancel();
        }
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
        return milliseconds < 1000 ? milliseconds + " ms" : seconds % 10 != seconds || milliseconds % 1000 == 0 ? seconds + " sec"
                : milliseconds / 100 / 10.0 + " sec";
    }
}
