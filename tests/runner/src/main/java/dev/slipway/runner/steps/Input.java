package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Parameter;
import dev.slipway.runner.engine.Refused;
import dev.slipway.runner.engine.Requests;
import dev.slipway.runner.engine.Step;
import dev.slipway.runner.engine.Symbol;
import dev.slipway.runner.site.Answers;
import dev.slipway.runner.site.People;
import hudson.AbortException;
import hudson.model.Result;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import jenkins.model.CauseOfInterruption;
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException;

/** input message, id, ok, cancel, submitter, submitterParameter, parameters: waits for a person. */
public final class Input extends Step implements Requests.Asked {
    private static final long serialVersionUID = 1;
    private static final String SAFE_ID = "[a-zA-Z0-9\\-._~!$()*+,:@=]+";
    private static final String MESSAGE = "Pipeline has paused and needs your input before proceeding";

    @Override
    protected void start() throws Exception {
        if (!id().matches(SAFE_ID) || id().matches("\\.{1,2}")) {
            throw new IllegalArgumentException("InputStep id is required to be URL safe, but the provided id " + id() + " is not safe");
        }
        if (parameters().stream().anyMatch(parameter -> parameter.name() == null)) {
            throw arguments.notInstantiated("java.lang.reflect.InvocationTargetException");
        }
        if (parameters().stream().anyMatch(parameter -> parameter.kind().equals("file"))) {
            throw new AbortException("Support for FileParameters in the input step is disabled and will be removed in a future release. \n"
                    + "Details on how to migrate your pipeline can be found online: https://jenkins.io/redirect/plugin/pipeline-input-step/file-parameters.");
        }
        if (!parameters().isEmpty() || given("submitterParameter") != null) {
            say("Input requested");
        } else {
            message().lines().forEach(this::say);
            say(ok() + " or " + (given("cancel") == null ? "Abort" : given("cancel")));
        }
    }

    /** Null where it is not given, or nothing but blanks. */
    private String given(String name) {
        String value = arguments.text(name, false);
        return value == null || value.isBlank() ? null : value.strip();
    }

    private String message() {
        String message = arguments.text("message", true);
        return message == null ? MESSAGE : message;
    }

    private String ok() {
        return given("ok") == null ? "Proceed" : given("ok");
    }

    /** As in the page's address: it begins with a capital letter, and is made of the message where none is given. */
    private String id() {
        String id = arguments.text("id", false);
        if (id == null || id.isEmpty()) {
            try {
                byte[] digest = MessageDigest.getInstance("MD5").digest(message().getBytes(StandardCharsets.UTF_8));
                id = String.format("%032x", new BigInteger(1, digest));
            } catch (NoSuchAlgorithmException none) {
                throw new IllegalStateException("Java has MD5", none);
            }
        }
        char first = id.charAt(0);
        return first >= 'a' && first <= 'z' ? Character.toUpperCase(first) + id.substring(1) : id;
    }

    private List<Parameter> parameters() {
        return arguments.named().get("parameters") instanceof List<?> list
                ? list.stream().map(each -> Parameter.of((Symbol) each)).toList() : List.of();
    }

    @Override
    protected void begin() {
        String user = build.site.user();
        switch (build.answers.to(arguments.text("id", false))) {
            case "yes" -> proceed(user, values(user, Map.of(), true));
            case "no" -> reject(user);
            case "abort" -> build.abort(user);
            case "timeout" -> runOut();
            case "ask" -> ask();
            default -> {
                // wait: until somebody asks for something
            }
        }
    }

    private void ask() {
        build.begin();
        String user = build.site.user();
        build.workers.submit(() -> {
            boolean yes = Answers.ask(ok());
            build.post(() -> {
                build.ended();
                if (yes) {
                    proceed(user, values(user, Map.of(), true));
                } else {
                    reject(user);
                }
            });
        });
    }

    @Override
    public boolean asked(String what, String about, String user, Map<String, String> given) throws Refused {
        int colon = about.lastIndexOf(':');
        if (!what.equals("input") || !about.substring(0, colon).equalsIgnoreCase(id())) {
            return false;
        }
        String answer = about.substring(colon + 1);
        if (!build.site.people.may(user, People.READ)) {
            throw new Refused(404, user + " does not see the job " + build.store.job());
        }
        if (answer.equals("abort")) {
            if (!maySubmit(user) && !build.site.people.may(user, People.CANCEL)) {
                throw new Refused(400, given("submitter") == null ? "You need to have Job/Cancel permissions to cancel this."
                        : "You need to be '" + given("submitter") + "' (or have Job/Cancel permissions) to cancel this.");
            }
            reject(user);
            return true;
        }
        if (!maySubmit(user)) {
            throw new Refused(400, given("submitter") == null ? "You need to have Job/Build permissions to submit this."
                    : "You need to be " + given("submitter") + " to submit this.");
        }
        proceed(user, answer.equals("proceedEmpty") ? null : values(user, given, answer.equals("proceed")));
        return true;
    }

    /** An administrator always; without a submitter whoever may build. */
    private boolean maySubmit(String user) {
        String submitter = given("submitter");
        return submitter == null ? build.site.people.may(user, People.BUILD)
                : build.site.people.isAdministrator(user) || build.site.people.isAmong(user, submitter);
    }

    /** The form has a value for each parameter; what is sent without one has those that are given. */
    private Map<String, Object> values(String user, Map<String, String> given, boolean all) {
        List<Parameter> parameters = parameters();
        given.keySet().stream().filter(name -> parameters.stream().noneMatch(each -> each.name().equals(name))).findFirst()
                .ifPresent(unknown -> {
            throw new Refused(500, "No such parameter definition: " + unknown);
        });
        Map<String, Object> values = new HashMap<>();
        for (Parameter each : parameters) {
            if (all || given.containsKey(each.name())) {
                try {
                    values.put(each.name(), each.value(given.get(each.name())));
                } catch (IllegalArgumentException wrong) {
                    throw new Refused(500, wrong.getMessage());
                }
            }
        }
        if (given("submitterParameter") != null) {
            values.put(given("submitterParameter"), build.site.people.id(user));
        }
        return values;
    }

    /** One value comes alone, more of them as a map, none as null. */
    private void proceed(String user, Map<String, Object> values) {
        say("Approved by " + build.site.people.fullName(user));
        success(values == null || values.isEmpty() ? null : values.size() == 1 ? values.values().iterator().next() : values);
    }

    private void reject(String user) {
        failure(new FlowInterruptedException(Result.ABORTED, new CauseOfInterruption.Rejection(build.site.people.fullName(user))));
    }

    /** Nobody answers: the clock skips to the end of the time-out around it. */
    private void runOut() {
        for (Step around : thread().around()) {
            if (around instanceof Timeout timeout) {
                build.clock.skipTo(timeout.deadline());
                return;
            }
        }
        say("runner: nobody answers, and there is no timeout around: the build would wait for ever");
        reject("SYSTEM");
    }

    @Override
    public void stop(Throwable cause) {
        reject("SYSTEM");
    }
}
