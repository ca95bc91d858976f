package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Requests;
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
public final class Input extends Step implements Requests.Asked {
    private static final long serialVersionUID = 1;

    @Override
    protected void start() throws Exception {
        String message = arguments.required("message");
        if (arguments.named().containsKey("parameters") || arguments.named().containsKey("submitterParameter")) {
            build.console.line("Input requested");
        } else {
            message.lines().forEach(build.console::line);
            build.console.line(ok() + " or Abort");
        }
    }

    private String ok() {
        String ok = arguments.text("ok", false);
        return ok == null ? "Proceed" : ok;
    }

    @Override
    protected void begin() {
        switch (build.answers.to(arguments.text("id", false))) {
            case "yes" -> proceed(build.site.user(), Map.of());
            case "no" -> reject(build.site.user());
            case "abort" -> build.abort(build.site.user());
            case "timeout" -> runOut();
            case "ask" -> ask();
            default -> {
                // wait: until somebody asks for something
            }
        }
    }

    private void ask() {
        build.begin();
        build.workers.submit(() -> {
            boolean yes = Answers.ask(ok());
            build.post(() -> {
                build.ended();
                if (yes) {
                    proceed(build.site.user(), Map.of());
                } else {
                    reject(build.site.user());
                }
            });
        });
    }

    @Override
    public boolean asked(String what, String id, String user, Map<String, String> values) {
        if (!what.equals("input") || !id.split(":")[0].equalsIgnoreCase(arguments.text("id", false))) {
            return false;
        }
        if (id.endsWith(":proceed")) {
            proceed(user, values);
        } else {
            reject(user);
        }
        return true;
    }

    private void proceed(String user, Map<String, String> given) {
        build.console.line("Approved by " + user);
        Map<String, Object> values = new LinkedHashMap<>();
        if (arguments.named().get("parameters") instanceof List<?> parameters) {
            for (Object each : parameters) {
                Symbol parameter = (Symbol) each;
                values.put(parameter.string("name"), Properties.value(parameter, given.get(parameter.string("name"))));
            }
        }
        String submitter = arguments.text("submitterParameter", false);
        if (submitter != null) {
            values.put(submitter, user);
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
    public void stop(Throwable cause) {
        reject("SYSTEM");
    }
}
