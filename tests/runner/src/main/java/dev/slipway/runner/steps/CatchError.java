package dev.slipway.runner.steps;

import com.cloudbees.groovy.cps.Outcome;
import dev.slipway.runner.engine.Step;
import hudson.AbortException;
import hudson.model.Result;
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException;

/** catchError and warnError: the build goes on, with a worse result. */
public final class CatchError extends Step {
    @Override
    protected void start() {
        runBody(context);
    }

    @Override
    protected void bodyEnded(Outcome outcome) {
        Throwable problem = outcome.getAbnormal();
        boolean interrupted = problem instanceof FlowInterruptedException;
        if (problem == null || interrupted && !arguments.flag("catchInterruptions", true)) {
            end(outcome);
            return;
        }
        String message = arguments.text("message", arguments.step().equals("warnError"));
        if (message != null) {
            build.console.line((arguments.step().equals("warnError") ? "WARNING: " : "ERROR: ") + message);
        }
        String wanted = arguments.text("buildResult", false);
        Result result = wanted != null ? Result.valueOf(wanted) : arguments.step().equals("warnError") ? Result.UNSTABLE : Result.FAILURE;
        if (problem instanceof FlowInterruptedException stopped) {
            result = stopped.getResult();
            stopped.getCauses().forEach(cause -> build.console.line(cause.getShortDescription()));
        } else {
            build.console.line(problem instanceof AbortException ? "ERROR: " + problem.getMessage() : problem.toString());
        }
        build.worsen(result);
        success(null);
    }
}
