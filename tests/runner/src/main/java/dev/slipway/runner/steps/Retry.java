package dev.slipway.runner.steps;

import com.cloudbees.groovy.cps.Outcome;
import dev.slipway.runner.engine.Step;
import dev.slipway.runner.engine.Symbol;
import java.util.List;
import jenkins.model.CauseOfInterruption;
import org.jenkinsci.plugins.workflow.cps.CpsThread;
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException;
import org.jenkinsci.plugins.workflow.steps.SynchronousResumeNotSupportedException;

/** retry count, conditions { }: again after an error, never after a stop. */
public final class Retry extends Step {
    private static final long serialVersionUID = 1;

    private long left;

    @Override
    protected void start() {
        left = arguments.number("count", true, 1);
        runBody(context);
    }

    @Override
    public void bodyEnded(CpsThread body, Outcome outcome) {
        left--;
        if (outcome.isSuccess() || left <= 0 || !again(outcome.getAbnormal())) {
            end(outcome);
            return;
        }
        if (outcome.getAbnormal() instanceof FlowInterruptedException stopped) {
            build.tell(stopped);
        } else {
            build.console.line("ERROR: " + outcome.getAbnormal().getMessage());
        }
        build.console.line("Retrying");
        runBody(context);
    }

    private boolean again(Throwable problem) {
        if (!(arguments.named().get("conditions") instanceof List<?> conditions)) {
            return !(problem instanceof FlowInterruptedException);
        }
        return conditions.stream().anyMatch(each -> each instanceof Symbol condition && switch (condition.symbol) {
            case "kubernetesAgent", "agent" -> lostAgent(problem);
            case "nonresumable" -> problem instanceof SynchronousResumeNotSupportedException;
            default -> false;
        });
    }

    private static boolean lostAgent(Throwable problem) {
        return problem instanceof AgentLost || problem instanceof FlowInterruptedException stopped && stopped.getCauses().stream()
                .anyMatch(cause -> cause instanceof CauseOfInterruption.RemovedNodeCause || cause instanceof CauseOfInterruption.QueueTaskCancelled);
    }
}
