package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Step;
import dev.slipway.runner.engine.Symbol;
import dev.slipway.runner.site.Answers;
import hudson.model.Result;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import jenkins.model.CauseOfInterruption;
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException;

/** input message, id, ok, submitter, submitterParameter, parameters: waits for a person. */
public final class Input extends Step {
    @Override
    protected void start() throws Exception {
        String message = arguments.required("message");
        String ok = arguments.text("ok", false);
        boolean form = arguments.named().containsKey("parameters") || arguments.named().containsKey("submitterParameter");
        if (form) {
            build.console.line("Input requested");
        } else {
            build.console.line(message);
            build.console.line((ok == null ? "Proceed" : ok) + " or Abort");
        }
        String answer = build.answers.to(arguments.text("id", false));
        switch (answer) {
            case "yes" -> proceed();
            case "no" -> reject(build.site.user());
            case "abort" -> build.abort(build.site.user());
            case "timeout" -> runOut();
            case "ask" -> {
                build.begin();
                build.workers.submit(() -> {
                    boolean yes = Answers.ask(ok == null ? "proceed" : ok);
                    build.post(() -> {
                        build.ended();
                        if (yes) {
                            proceed();
                        } else {
                            reject(build.site.user());
                        }
                    });
                });
            }
            default -> {
                // wait: until somebody stops the build
            }
        }
    }

    private void proceed() {
        build.console.line("Approved by " + build.site.user());
        Map<String, Object> values = new LinkedHashMap<>();
        if (arguments.named().get("parameters") instanceof List<?> parameters) {
            for (Object each : parameters) {
                Symbol parameter = (Symbol) each;
                values.put(parameter.string("name"), parameter.get("defaultValue"));
            }
        }
        String submitter = arguments.text("submitterParameter", false);
        if (submitter != null) {
            values.put(submitter, build.site.user());
        }
        success(values.isEmpty() ? null : values.size() == 1 ? values.values().iterator().next() : values);
    }

    private void reject(String who) {
        failure(new FlowInterruptedException(Result.ABORTED, new CauseOfInterruption.Rejection(who)));
    }

    /** Nobody answers: the clock skips to the end of the time-out around it. */
    private void runOut() {
        for (Step around : thread().around()) {
            if (around instanceof Timeout timeout) {
                build.clock.skipTo(timeout.deadline());
                return;
            }
        }
        build.console.line("runner: nobody answers, and there is no timeout around: the build would wait for ever");
        reject("SYSTEM");
    }

    @Override
    protected void stop(Throwable cause) {
        reject("SYSTEM");
    }
}
