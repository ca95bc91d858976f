package dev.slipway.runner.engine;

import com.cloudbees.groovy.cps.Continuable;
import com.cloudbees.groovy.cps.SerializableScript;
import groovy.lang.Binding;
import groovy.lang.GroovyObject;
import groovy.lang.MissingPropertyException;
import hudson.AbortException;
import java.util.Collections;
import org.codehaus.groovy.runtime.InvokerHelper;
import org.jenkinsci.plugins.workflow.cps.EnvActionImpl;
import org.jenkinsci.plugins.workflow.support.steps.build.RunWrapper;

/** The base of the Jenkinsfile and of each of vars/: unknown names are steps, other vars, or what Jenkins gives. */
public abstract class CpsScript extends SerializableScript {
    private static final long serialVersionUID = 1;

    public CpsScript() {
        super(new Binding());
    }

    @Override
    public final Object invokeMethod(String name, Object given) {
        Object[] arguments = (Object[]) given;
        Build build = Build.current();
        if (build.steps.knows(name)) {
            return Continuable.suspend(new Suspension(name, arguments));
        }
        Object variable = build.loader.variable(name);
        if (variable == null && getBinding().hasVariable(name)) {
            variable = getBinding().getVariable(name);
        }
        if (variable instanceof GroovyObject object) {
            // Not through its invokeMethod: a call that does not fit is no unknown step.
            return object.getMetaClass().invokeMethod(object, "call", arguments);
        }
        if (variable != null) {
            return InvokerHelper.invokeMethod(variable, "call", arguments);
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
        Object given = global(name);
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
            throw new MissingPropertyException(name, Binding.class);
        }
    }

    /** What Jenkins gives to a script beside steps, or null. */
    private Object global(String name) {
        Build build = Build.current();
        return switch (name) {
            case "env" -> new EnvActionImpl();
            case "params" -> Collections.unmodifiableMap(build.parameters());
            case "currentBuild" -> RunWrapper.current();
            case "scm" -> scm(build);
            case "steps", "docker", "pipeline" -> this;
            default -> build.loader.variable(name);
        };
    }

    private static Object scm(Build build) {
        if (build.source == null) {
            throw sneaky(new AbortException(
                    "‘checkout scm’ is only available when using “Multibranch Pipeline” or “Pipeline script from SCM”"));
        }
        return build.source.description();
    }

    @SuppressWarnings("unchecked")
    private static <T extends Throwable> RuntimeException sneaky(Throwable problem) throws T {
        throw (T) problem;
    }

    @Override
    public Object evaluate(String text) {
        try {
            return Build.current().loader.evaluate(text);
        } catch (ReflectiveOperationException problem) {
            throw new IllegalStateException(problem);
        }
    }

    /** The step, not what Groovy gives to every object. */
    public Object sleep(long time) {
        return invokeMethod("sleep", new Object[] {time});
    }

    @Override
    public void println() {
        invokeMethod("echo", new Object[] {""});
    }

    @Override
    public void println(Object value) {
        invokeMethod("echo", new Object[] {String.valueOf(value)});
    }

    @Override
    public void print(Object value) {
        invokeMethod("echo", new Object[] {String.valueOf(value)});
    }

    @Override
    public void printf(String format, Object value) {
        invokeMethod("echo", new Object[] {String.format(format, value)});
    }

    @Override
    public void printf(String format, Object[] values) {
        invokeMethod("echo", new Object[] {String.format(format, values)});
    }
}
