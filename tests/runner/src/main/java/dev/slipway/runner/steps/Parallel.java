package dev.slipway.runner.steps;

import com.cloudbees.groovy.cps.Outcome;
import dev.slipway.runner.engine.Step;
import groovy.lang.Closure;
import hudson.model.Result;
import java.util.LinkedHashMap;
import java.util.Map;
import jenkins.model.CauseOfInterruption;
import org.jenkinsci.plugins.workflow.cps.CpsThread;
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException;

/** parallel a: { }, b: { }, failFast: true */
public final class Parallel extends Step {
    private static final long serialVersionUID = 1;

    private final Map<String, Object> results = new LinkedHashMap<>();
    private int left;
    private Throwable first;

    @Override
    protected void start() {
        Map<String, Closure<?>> branches = new LinkedHashMap<>();
        arguments.named().forEach((name, value) -> {
            if (value instanceof Closure<?> closure) {
                branches.put(name, closure);
            }
        });
        left = branches.size();
        if (left == 0) {
            success(results);
        }
        branches.keySet().forEach(name -> say("[Pipeline] { (Branch: " + name + ")"));
        branches.forEach((name, closure) -> thread().group().body(this, closure, context.withBranch(name)));
    }

    @Override
    public void bodyEnded(CpsThread body, Outcome outcome) {
        String name = body.context().branch;
        results.put(name, outcome.getNormal());
        if (outcome.isFailure()) {
            say("Failed in branch " + name);
            if (first == null) {
                first = outcome.getAbnormal();
                if (arguments.flag("failFast", false)) {
                    thread().group().stop(this, new FlowInterruptedException(Result.ABORTED, new CauseOfInterruption.FailFastCause(name)));
                }
            }
        }
        if (--left == 0) {
            if (first != null) {
                failure(first);
            } else {
                success(results);
            }
        }
    }
}
