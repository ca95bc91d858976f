package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Jobs;
import dev.slipway.runner.engine.Step;
import hudson.AbortException;
import hudson.model.Result;
import jenkins.model.CauseOfInterruption;
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException;

/** milestone ordinal, label: a build that a newer one has overtaken ends here. */
public final class Milestone extends Step {
    private static final long serialVersionUID = 1;

    @Override
    protected void start() throws Exception {
        Integer last = build.state.milestone;
        int ordinal = (int) arguments.number("ordinal", true, last == null ? 1 : last + 1);
        if (last != null && ordinal <= last) {
            throw new AbortException("Invalid ordinal " + ordinal + ", as the previous one was " + last);
        }
        say("Trying to pass milestone " + ordinal);
        Integer newer = new Jobs(build.store.home(), build.store.job()).milestone(build.store.number(), ordinal);
        if (newer != null) {
            say("Canceled since build #" + newer + " already got here");
            throw new FlowInterruptedException(Result.NOT_BUILT, new CauseOfInterruption.CancelledCause(build.store.job() + "#" + newer));
        }
        build.state.milestone = ordinal;
        success(null);
    }
}
