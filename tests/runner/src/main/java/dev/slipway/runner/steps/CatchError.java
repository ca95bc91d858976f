package dev.slipway.runner.steps;

import com.cloudbees.groovy.cps.Outcome;
import dev.slipway.runner.engine.Step;
import hudson.AbortException;
import hudson.model.Result;
import org.jenkinsci.plugins.workflow.cps.CpsThread;
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException;

/** catchError and warnError: the build goes on, with a worse result. */
public final class CatchError extends Step {
    private static final long serialVersionUID = 1;

    @Override
    protected void start() {
        runBody(context);
    }

    @Override
    public void bodyEnded(CpsThread body, Outcome outcome) {
        Throwable problem = outcome.getAbnormal();
        boolean interrupted = problem instanceof FlowInterruptedException;
        if (problem == null || interrupted && !arguments.flag("catchInterruptions", true)) {
            end(problem == null ? new Outcome(null, null) : outcome);
            return;
        }
        String message = arguments.text("message", arguments.step().equals("warnError"));
        if (message != null) {
            say("ERROR: " + message);
        }
        String wanted = arguments.text("buildResult", false);
        Result result = wanted != null ? Result.valueOf(wanted) : arguments.step().equals("warnError") ? Result.UNSTABLE : Result.FAILURE;
        if (problem instanceof FlowInterruptedException stopped) {
            result = stopped.getResult();
            build.tell(stopped);
        } else {
            say(problem instanceof AbortException ? "ERROR: " + problem.getMessage() : problem.toString());
        }
        if (!arguments.step().equals("warnError") && !interrupted && result != Result.SUCCESS) {
            say("Setting overall build result to " + result);
        }
        build.worsen(result);
        success(null);
    }
}
