package dev.slipway.runner.steps;

import com.cloudbees.groovy.cps.Outcome;
import dev.slipway.runner.engine.Step;
import groovy.lang.Closure;
import hudson.AbortException;
import hudson.model.Result;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import jenkins.model.CauseOfInterruption;
import org.jenkinsci.plugins.workflow.cps.CpsThread;
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException;

/** parallel a: { }, b: { }, failFast: true */
public final class Parallel extends Step {
    private static final long serialVersionUID = 1;

    /** Errors of all kinds, then those of error(...) and sh, then interruptions, of which a worse result counts more. */
    private static final Comparator<Throwable> SEVEREST = Comparator.<Throwable>comparingInt(problem ->
            problem instanceof FlowInterruptedException ? 2 : problem instanceof AbortException ? 1 : 0).thenComparing((one, other) -> {
                if (!(one instanceof FlowInterruptedException left) || !(other instanceof FlowInterruptedException right)) {
                    return 0;
                }
                return left.getResult().isWorseThan(right.getResult()) ? -1 : right.getResult().isWorseThan(left.getResult()) ? 1 : 0;
            });

    /** In no order of the branches, as in Jenkins. */
    private final Map<String, Object> results = new HashMap<>();
    private final Set<Throwable> failures = new LinkedHashSet<>();
    private int left;

    @Override
    protected void start() {
        Map<String, Closure<?>> branches = new LinkedHashMap<>();
        arguments.named().forEach((name, value) -> {
            if (value instanceof Closure<?> closure) {
                branches.put(name, closure);
            } else if (!name.equals("failFast") || !(value instanceof Boolean)) {
                throw new IllegalArgumentException("Expected a closure or failFast but found " + name + "=" + value);
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
            boolean first = failures.isEmpty();
            failures.add(outcome.getAbnormal());
            if (first && arguments.flag("failFast", false)) {
                thread().group().stop(this, new FlowInterruptedException(Result.ABORTED, new CauseOfInterruption.FailFastCause(name)));
            }
        }
        if (--left == 0) {
            if (failures.isEmpty()) {
                success(results);
            } else if (arguments.flag("failFast", false)) {
                failure(failures.iterator().next());
            } else {
                failure(Collections.min(failures, SEVEREST)); // of equal ones the first
            }
        }
    }
}
