package org.jenkinsci.plugins.workflow.steps;

import hudson.model.Result;
import java.util.List;
import jenkins.model.CauseOfInterruption;

/** What a step ends with when it is stopped, whoever or whatever stopped it. */
public final class FlowInterruptedException extends InterruptedException {
    private final Result result;
    private final List<CauseOfInterruption> causes;

    public FlowInterruptedException(Result result, CauseOfInterruption... causes) {
        this.result = result;
        this.causes = new java.util.ArrayList<>(List.of(causes));
    }

    public Result getResult() {
        return result;
    }

    public List<CauseOfInterruption> getCauses() {
        return causes;
    }
}
