package org.jenkinsci.plugins.workflow.support.steps.build;

import dev.slipway.runner.engine.Build;
import hudson.AbortException;
import hudson.model.Result;
import java.io.Serializable;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.function.Predicate;
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

    private void requireCurrent() throws AbortException {
        if (record != null) {
            throw new AbortException("can only set the properties of the current build");
        }
    }

    public String getResult() {
        if (record != null) {
            return record.getProperty("result");
        }
        return build().state.result == null ? null : build().state.result.name();
    }

    public void setResult(String result) throws AbortException {
        requireCurrent();
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
        requireCurrent();
        build().state.description = description;
    }

    public String getDisplayName() {
        String name = record != null ? record.getProperty("displayName") : build().state.displayName;
        return name == null ? "#" + number : name;
    }

    public void setDisplayName(String name) throws AbortException {
        requireCurrent();
        build().state.displayName = name;
    }

    public String getFullDisplayName() {
        return build().store.fullName().replace("/", " » ") + " " + getDisplayName();
    }

    public boolean isKeepLog() {
        return false;
    }

    public boolean getKeepLog() {
        return false;
    }

    public void setKeepLog(boolean keep) throws AbortException {
        requireCurrent();
    }

    public int getNumber() {
        return number;
    }

    public String getId() {
        return String.valueOf(number);
    }

    public String getProjectName() {
        return build().store.job();
    }

    public String getFullProjectName() {
        return build().store.fullName();
    }

    public String getAbsoluteUrl() {
        return build().store.url().replaceAll("/[0-9]+/$", "/" + number + "/");
    }

    public long getStartTimeInMillis() {
        return build().store.started();
    }

    public long getTimeInMillis() {
        return build().store.started();
    }

    public long getDuration() {
        return record != null ? Long.parseLong(record.getProperty("duration", "0")) : build().clock.now() - build().store.started();
    }

    public String getDurationString() {
        return getDuration() / 1000 + " sec" + (record == null ? " and counting" : "");
    }

    public Map<String, Object> getBuildVariables() {
        return new java.util.LinkedHashMap<>(build().state.parameters);
    }

    public List<Object> getUpstreamBuilds() {
        return List.of();
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
        return new JSONArray(build().state.causes.stream().filter(which).map(JSONObject::new).toList());
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

    private RunWrapper before(Predicate<Properties> which) {
        return build().store.earlier().entrySet().stream().filter(build -> build.getKey() < number && which.test(build.getValue()))
                .map(build -> new RunWrapper(build.getKey(), build.getValue())).findFirst().orElse(null);
    }

    /** No script in the sandbox gets that far. */
    public WorkflowRun getRawBuild() {
        return new WorkflowRun(this);
    }
}
