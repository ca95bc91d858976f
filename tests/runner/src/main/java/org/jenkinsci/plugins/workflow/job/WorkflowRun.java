package org.jenkinsci.plugins.workflow.job;

import hudson.model.Result;
import hudson.model.Run;
import org.jenkinsci.plugins.workflow.support.steps.build.RunWrapper;

/** A pipeline's build: as much of it as a runner without Jenkins can say. */
public final class WorkflowRun extends Run {
    private final RunWrapper build;

    public WorkflowRun(RunWrapper build) {
        this.build = build;
    }

    @Override
    public int getNumber() {
        return build.getNumber();
    }

    public String getDisplayName() {
        return build.getDisplayName();
    }

    public String getFullDisplayName() {
        return build.getFullDisplayName();
    }

    public String getDescription() {
        return build.getDescription();
    }

    public Result getResult() {
        return build.getResult() == null ? null : Result.fromString(build.getResult());
    }
}
