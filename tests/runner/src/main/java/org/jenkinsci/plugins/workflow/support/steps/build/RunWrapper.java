package org.jenkinsci.plugins.workflow.support.steps.build;

import dev.slipway.runner.engine.Build;
import groovy.json.JsonSlurper;
import hudson.AbortException;
import hudson.model.Result;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.function.Predicate;
import java.util.function.Supplier;
import net.sf.json.JSONArray;
import net.sf.json.JSONObject;
import org.jenkinsci.plugins.workflow.job.WorkflowRun;

/** A build as a script sees it: currentBuild, and the ones before it. */
public final class RunWrapper implements Serializable {
    private static final long serialVersionUID = 1;

    private final int number;
    /** What is recorded of an earlier build; null for the current one. */
    private final Properties record;

    private RunWrapper(int number, Properties record) {
        this.number = number;
        this.record = record;
    }

    public static RunWrapper current() {
        return new RunWrapper(Build.current().store.number(), null);
    }

    private Build build() {
        return Build.current();
    }

    private void requireCurrent(String property) {
        if (record != null) {
            throw new SecurityException("can only set the " + property + " property on the current build");
        }
    }

    /** What is recorded of the build, or else what is so of the current one. */
    private String recorded(String key, Supplier<String> now) {
        return record != null ? record.getProperty(key) : now.get();
    }

    public String getResult() {
        if (record != null) {
            return record.getProperty("result");
        }
        return build().state.result == null ? null : build().state.result.name();
    }

    public void setResult(String result) throws AbortException {
        requireCurrent("result");
        build().worsen(Result.fromString(result));
    }

    public String getCurrentResult() {
        return getResult() == null ? "SUCCESS" : getResult();
    }

    public boolean resultIsBetterOrEqualTo(String other) {
        return !Result.fromString(getCurrentResult()).isWorseThan(Result.fromString(other));
    }

    public boolean resultIsWorseOrEqualTo(String other) {
        return !Result.fromString(other).isWorseThan(Result.fromString(getCurrentResult()));
    }

    public String getDescription() {
        return record != null ? record.getProperty("description") : build().state.description;
    }

    public void setDescription(String description) throws AbortException {
        requireCurrent("description");
        build().state.description = description;
    }

    public String getDisplayName() {
        String name = record != null ? record.getProperty("displayName") : build().state.displayName;
        return name == null ? "#" + number : name;
    }

    public void setDisplayName(String name) throws AbortException {
        requireCurrent("displayName");
        build().state.displayName = name;
    }

    public String getFullDisplayName() {
        return getFullProjectName().replace("/", " » ") + " " + getDisplayName();
    }

    public boolean isKeepLog() {
        return Boolean.parseBoolean(recorded("keepLog", () -> String.valueOf(build().state.keepLog)));
    }

    public void setKeepLog(boolean keep) throws AbortException {
        requireCurrent("keepLog");
        build().state.keepLog = keep;
    }

    public int getNumber() {
        return number;
    }

    public String getId() {
        return String.valueOf(number);
    }

    public String getProjectName() {
        return getFullProjectName().substring(getFullProjectName().lastIndexOf('/') + 1);
    }

    public String getFullProjectName() {
        return recorded("fullName", build().store::fullName);
    }

    public String getAbsoluteUrl() {
        return build().store.url(getFullProjectName(), number);
    }

    public String getExternalizableId() {
        return getFullProjectName() + "#" + number;
    }

    public long getStartTimeInMillis() {
        return Long.parseLong(recorded("started", () -> String.valueOf(build().store.started())));
    }

    public long getTimeInMillis() {
        return getStartTimeInMillis();
    }

    public long getDuration() {
        String whole = recorded("duration", () -> null);
        return whole != null ? Long.parseLong(whole) : build().clock.now() - getStartTimeInMillis();
    }

    public String getDurationString() {
        return timeSpan(getDuration()) + (getResult() == null || record == null ? " and counting" : "");
    }

    public Map<String, Object> getBuildVariables() {
        return Collections.unmodifiableMap(new TreeMap<>(record == null ? build().state.environment
                : (Map<String, Object>) new JsonSlurper().parseText(record.getProperty("environment", "{}"))));
    }

    public List<RunWrapper> getUpstreamBuilds() {
        List<RunWrapper> found = new ArrayList<>();
        for (Map<String, Object> cause : causes()) {
            String job = (String) cause.get("upstreamProject");
            Properties upstream = job == null ? null : build().store.of(job, (Integer) cause.get("upstreamBuild"));
            if (upstream != null) {
                RunWrapper run = new RunWrapper((Integer) cause.get("upstreamBuild"), upstream);
                found.add(run);
                found.addAll(run.getUpstreamBuilds());
            }
        }
        return found;
    }

    public List<Object> getChangeSets() {
        return List.of();
    }

    public JSONArray getBuildCauses() {
        return causes(cause -> true);
    }

    public JSONArray getBuildCauses(String type) {
        return causes(cause -> cause.get("_class").equals(type));
    }

    private JSONArray causes(Predicate<Map<String, Object>> which) {
        return new JSONArray(causes().stream().filter(which).map(JSONObject::new).toList());
    }

    private List<Map<String, Object>> causes() {
        return record == null ? build().state.causes
                : (List<Map<String, Object>>) new JsonSlurper().parseText(record.getProperty("causes", "[]"));
    }

    public RunWrapper getPreviousBuild() {
        return before(build -> true);
    }

    public RunWrapper getPreviousBuiltBuild() {
        return before(build -> build.getProperty("result") != null && !build.getProperty("result").equals("NOT_BUILT"));
    }

    public RunWrapper getPreviousSuccessfulBuild() {
        return before(build -> "SUCCESS".equals(build.getProperty("result")));
    }

    public RunWrapper getPreviousBuildInProgress() {
        return before(build -> build.getProperty("result") == null);
    }

    public RunWrapper getPreviousCompletedBuild() {
        return before(build -> build.getProperty("result") != null);
    }

    public RunWrapper getPreviousFailedBuild() {
        return before(build -> "FAILURE".equals(build.getProperty("result")));
    }

    public RunWrapper getPreviousNotFailedBuild() {
        return before(build -> !"FAILURE".equals(build.getProperty("result")));
    }

    /** Of an earlier build only: what comes after the current one is another program's. */
    public RunWrapper getNextBuild() {
        int next = number + 1;
        if (record != null && getFullProjectName().equals(build().store.fullName()) && next == build().store.number()) {
            return current();
        }
        Properties found = build().store.of(getFullProjectName(), next);
        return found == null ? null : new RunWrapper(next, found);
    }

    private RunWrapper before(Predicate<Properties> which) {
        return build().store.earlier(getFullProjectName(), number).entrySet().stream().filter(build -> which.test(build.getValue()))
                .map(build -> new RunWrapper(build.getKey(), build.getValue())).findFirst().orElse(null);
    }

    /** As hudson.Util.getTimeSpanString writes it, up to hours. */
    static String timeSpan(long milliseconds) {
        long hours = milliseconds / 3_600_000;
        long minutes = milliseconds / 60_000 % 60;
        long seconds = milliseconds / 1000 % 60;
        long rest = milliseconds % 1000;
        if (hours > 0) {
            return hours + " hr" + (hours < 10 ? " " + minutes + " min" : "");
        } else if (minutes > 0) {
            return minutes + " min" + (minutes < 10 ? " " + seconds + " sec" : "");
        } else if (seconds >= 10) {
            return seconds + " sec";
        } else if (seconds > 0) {
            return (seconds * 10 + rest / 100) / 10.0 + " sec";
        }
        return rest >= 100 ? rest / 10 / 100.0 + " sec" : rest + " ms";
    }

    /** No script in the sandbox gets that far. */
    public WorkflowRun getRawBuild() {
        return new WorkflowRun(this);
    }
}
