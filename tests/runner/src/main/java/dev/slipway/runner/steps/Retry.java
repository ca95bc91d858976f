package dev.slipway.runner.steps;

import com.cloudbees.groovy.cps.Outcome;
import dev.slipway.runner.engine.Step;
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException;

/** retry count { }: again after an error, never after a stop. */
public final class Retry extends Step {
    private long left;

    @Override
    protected void start() {
        left = arguments.number("count", true, 1);
        runBody(context);
    }

    @Override
    protected void bodyEnded(Outcome outcome) {
        left--;
        boolean stopped = outcome.getAbnormal() instanceof FlowInterruptedException;
        boolean agentsOnly = arguments.named().containsKey("conditions") && !(outcome.getAbnormal() instanceof AgentLost);
        if (outcome.isSuccess() || stopped || agentsOnly || left <= 0) {
            end(outcome);
            return;
        }
        build.console.line("ERROR: " + outcome.getAbnormal().getMessage());
        build.console.line("Retrying");
        runBody(context);
    }
}
