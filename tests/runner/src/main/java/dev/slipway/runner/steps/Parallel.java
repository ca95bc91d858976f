package dev.slipway.runner.steps;

import com.cloudbees.groovy.cps.Continuable;
import com.cloudbees.groovy.cps.Continuation;
import com.cloudbees.groovy.cps.Envs;
import com.cloudbees.groovy.cps.Outcome;
import com.cloudbees.groovy.cps.impl.CpsCallableInvocation;
import com.cloudbees.groovy.cps.impl.SourceLocation;
import dev.slipway.runner.engine.CpsThread;
import dev.slipway.runner.engine.Step;
import groovy.lang.Closure;
import hudson.model.Result;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import jenkins.model.CauseOfInterruption;
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException;

/** parallel a: { }, b: { }, failFast: true */
public final class Parallel extends Step {
    private final Map<String, Object> results = new LinkedHashMap<>();
    private final List<CpsThread> threads = new ArrayList<>();
    private int left;
    private Throwable first;

    @Override
    protected void start() {
        boolean failFast = arguments.flag("failFast", false);
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
        branches.forEach((name, closure) -> {
            build.console.line("[Pipeline] { (Branch: " + name + ")");
            Outcome at = null;
            try {
                at = new Outcome(closure.call(), null);
            } catch (CpsCallableInvocation invocation) {
                Continuable program = new Continuable(invocation.invoke(Envs.empty(), SourceLocation.UNKNOWN, Continuation.HALT));
                CpsThread thread = build.thread(program, context.withBranch(name), outcome -> ended(name, outcome, failFast));
                threads.add(thread);
                build.post(() -> thread.begin());
            } catch (Throwable problem) {
                at = new Outcome(null, problem);
            }
            if (at != null) {
                ended(name, at, failFast);
            }
        });
    }

    private void ended(String name, Outcome outcome, boolean failFast) {
        build.console.line("[Pipeline] }");
        results.put(name, outcome.getNormal());
        if (outcome.isFailure()) {
            build.console.line("Failed in branch " + name);
            if (first == null) {
                first = outcome.getAbnormal();
                if (failFast) {
                    threads.forEach(thread -> thread.stop(new FlowInterruptedException(Result.ABORTED, new CauseOfInterruption.FailFastCause())));
                }
            }
        }
        if (--left == 0) {
            threads.forEach(build::remove);
            if (first != null) {
                failure(first);
            } else {
                success(results);
            }
        }
    }

    @Override
    protected void stop(Throwable cause) {
        threads.forEach(thread -> thread.stop(cause));
    }
}
