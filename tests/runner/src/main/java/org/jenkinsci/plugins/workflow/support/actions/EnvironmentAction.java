package org.jenkinsci.plugins.workflow.support.actions;

import java.util.Map;

/** The environment of a build as a script sees it. */
public interface EnvironmentAction {
    Map<String, String> getEnvironment();
}
