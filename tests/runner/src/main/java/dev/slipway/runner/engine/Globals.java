package dev.slipway.runner.engine;

import groovy.lang.GroovyObjectSupport;
import hudson.model.Result;
import java.io.Serializable;
import java.util.List;
import java.util.Map;

/** The objects that Jenkins gives to every script. */
final class Globals {
    private Globals() {}

    /** env */
    static final class Environment extends GroovyObjectSupport implements Serializable {
        @Override
        public Object getProperty(String name) {
            return Build.current().environment().get(name);
        }

        @Override
        public void setProperty(String name, Object value) {
            Build.current().setEnvironment(name, value == null ? "" : value.toString());
        }
    }

    /** currentBuild */
    static final class CurrentBuild implements Serializable {
        public String getResult() {
            Result result = Build.current().result;
            return result == null ? null : result.name();
        }

        public void setResult(String result) {
            Build.current().worsen(Result.valueOf(result));
        }

        public String getCurrentResult() {
            Result result = Build.current().result;
            return result == null ? "SUCCESS" : result.name();
        }

        public boolean resultIsBetterOrEqualTo(String other) {
            return !Result.valueOf(getCurrentResult()).isWorseThan(Result.valueOf(other));
        }

        public boolean resultIsWorseOrEqualTo(String other) {
            return !Result.valueOf(other).isWorseThan(Result.valueOf(getCurrentResult()));
        }

        public String getDescription() {
            return Build.current().description;
        }

        public void setDescription(String description) {
            Build.current().description = description;
        }

        public String getDisplayName() {
            return "#" + getNumber();
        }

        public void setDisplayName(String name) {}

        public int getNumber() {
            return Build.current().store.number();
        }

        public String getId() {
            return String.valueOf(getNumber());
        }

        public String getProjectName() {
            return Build.current().store.job();
        }

        public String getFullProjectName() {
            return Build.current().store.job();
        }

        public String getAbsoluteUrl() {
            return Build.current().store.environment().get("BUILD_URL");
        }

        public long getStartTimeInMillis() {
            return Build.current().store.started();
        }

        public long getDuration() {
            return Build.current().clock.now() - getStartTimeInMillis();
        }

        public List<Map<String, Object>> getBuildCauses() {
            return List.of(Map.of("shortDescription", "Started by " + Build.current().site.user(), "userId", Build.current().site.user()));
        }
    }
}
