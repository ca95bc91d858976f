package dev.slipway.runner.engine;

import com.cloudbees.groovy.cps.Continuable;
import com.cloudbees.groovy.cps.SerializableScript;
import groovy.lang.Binding;
import groovy.lang.MissingPropertyException;
import org.codehaus.groovy.runtime.InvokerHelper;

/** The base of the Jenkinsfile and of each of vars/: unknown names are steps, other vars, or what Jenkins gives. */
public abstract class CpsScript extends SerializableScript {
    public CpsScript() {
        super(new Binding());
    }

    @Override
    public Object invokeMethod(String name, Object given) {
        Object[] arguments = given instanceof Object[] array ? array : new Object[] {given};
        Build build = Build.current();
        if (build.steps.knows(name)) {
            return Continuable.suspend(new Suspension(name, arguments));
        }
        Object variable = build.loader.variable(name);
        if (variable != null) {
            return InvokerHelper.invokeMethod(variable, "call", arguments);
        }
        if (getBinding().hasVariable(name)) {
            return InvokerHelper.invokeMethod(getBinding().getVariable(name), "call", arguments);
        }
        if (Symbol.known(name)) {
            return Symbol.of(name, arguments);
        }
        throw new NoSuchMethodError("No such DSL method '" + name + "' found among steps " + build.steps.names());
    }

    @Override
    public Object getProperty(String name) {
        if (getBinding().hasVariable(name)) {
            return getBinding().getVariable(name);
        }
        Object given = Build.current().global(name, this);
        if (given != null) {
            return given;
        }
        try {
            return super.getProperty(name);
        } catch (MissingPropertyException missing) {
            String variable = Build.current().environment().get(name);
            if (variable != null) {
                return variable;
            }
            throw new MissingPropertyException(name, groovy.lang.Script.class);
        }
    }

    public Object evaluate(String text) {
        throw new UnsupportedOperationException("evaluate is not there");
    }
}
