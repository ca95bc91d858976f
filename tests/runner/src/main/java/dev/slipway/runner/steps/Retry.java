package dev.slipway.runner.steps;

import com.cloudbees.groovy.cps.Outcome;
import dev.slipway.runner.engine.Step;
import dev.slipway.runner.engine.Symbol;
import dev.slipway.runner.nodes.PodTemplate;
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
            say("ERROR: " + outcome.getAbnormal().getMessage());
        }
        say("Retrying");
        runBody(context);
    }

    private boolean again(Throwable problem) {
        if (!(arguments.named().get("conditions") instanceof List<?> conditions)) {
            return !(problem instanceof FlowInterruptedException);
        }
        return conditions.stream().anyMatch(each -> each instanceof Symbol condition && switch (condition.symbol) {
            case "kubernetesAgent" -> lostAgent(problem) && wasPod(problem);
            case "agent" -> lostAgent(problem);
            case "nonresumable" -> problem instanceof SynchronousResumeNotSupportedException;
            default -> false;
        });
    }

    private static boolean lostAgent(Throwable problem) {
        return problem instanceof AgentLost || causes(problem).stream()
                .anyMatch(cause -> cause instanceof CauseOfInterruption.RemovedNodeCause
                        || cause instanceof CauseOfInterruption.QueueTaskCancelled);
    }

    private static List<CauseOfInterruption> causes(Throwable problem) {
        return problem instanceof FlowInterruptedException stopped ? stopped.getCauses() : List.of();
    }

    /** The plugin knows a pod by its template, which is forgotten where podTemplate ends. */
    private boolean wasPod(Throwable problem) {
        for (CauseOfInterruption cause : causes(problem)) {
            if (cause instanceof CauseOfInterruption.QueueTaskCancelled) {
                say("Could not find a node block associated with node (source of error) but inside podTemplate");
            } else if (cause instanceof CauseOfInterruption.RemovedNodeCause removed
                    && PodTemplate.labelled(removed.label(), context.template) == null) {
                say(removed.node() + " did not look like a Kubernetes agent judging by [" + removed.label()
                        + "]; make sure retry is inside podTemplate, not outside");
                return false;
            }
        }
        return true;
    }
}
