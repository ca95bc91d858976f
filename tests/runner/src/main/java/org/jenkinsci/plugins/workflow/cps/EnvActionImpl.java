package org.jenkinsci.plugins.workflow.cps;

import dev.slipway.runner.engine.Build;
import groovy.lang.GroovyObjectSupport;
import java.io.Serializable;
import java.util.Map;
import org.jenkinsci.plugins.workflow.support.actions.EnvironmentAction;

/** env */
public final class EnvActionImpl extends GroovyObjectSupport implements EnvironmentAction, Serializable {
    private static final long serialVersionUID = 1;

    @Override
    public Map<String, String> getEnvironment() {
        return Build.current().environment();
    }

    @Override
    public Object getProperty(String name) {
        Map<String, String> all = getEnvironment();
        // As in Jenkins, in any case of letters.
        return all.containsKey(name) ? all.get(name)
                : all.entrySet().stream().filter(each -> each.getKey().equalsIgnoreCase(name)).map(Map.Entry::getValue).findFirst()
                        .orElse(null);
    }

    @Override
    public void setProperty(String name, Object value) {
        Build.current().state.environment.put(name, value == null ? "" : value.toString());
    }
}
