package org.jenkinsci.plugins.workflow.libs;

import dev.slipway.runner.engine.Build;
import groovy.lang.GroovyObjectSupport;
import groovy.lang.MissingPropertyException;
import java.io.Serializable;
import org.codehaus.groovy.runtime.InvokerHelper;

/** What the step library answers: library('x').some.pkg.SomeClass is a class of it, .new(...) an object, .method(...) a static call. */
public final class LoadedClasses extends GroovyObjectSupport implements Serializable {
    private static final long serialVersionUID = 1;

    private final String library;
    private final boolean trusted;
    private final String prefix;
    private final String name;

    public LoadedClasses(String library, boolean trusted) {
        this(library, trusted, "", null);
    }

    private LoadedClasses(String library, boolean trusted, String prefix, String name) {
        this.library = library;
        this.trusted = trusted;
        this.prefix = prefix;
        this.name = name;
    }

    private Class<?> load(String type) {
        try {
            return Build.current().loader.load(library, trusted, prefix + type);
        } catch (ClassNotFoundException | IllegalAccessException none) {
            throw sneaky(none);
        }
    }

    @SuppressWarnings("unchecked")
    private static <T extends Throwable> RuntimeException sneaky(Throwable problem) throws T {
        throw (T) problem;
    }

    @Override
    public Object getProperty(String property) {
        if (name != null) {
            Class<?> type = load(name);
            if (InvokerHelper.getMetaClass(type).hasProperty(type, property) != null) {
                return InvokerHelper.getProperty(type, property);
            }
        }
        if (Character.isUpperCase(property.charAt(0))) {
            String type = name == null ? property : name + "$" + property;
            load(type);
            return new LoadedClasses(library, trusted, prefix, type);
        }
        if (name != null) {
            throw new MissingPropertyException(property, load(name));
        }
        return new LoadedClasses(library, trusted, prefix + property + ".", null);
    }

    @Override
    public Object invokeMethod(String method, Object given) {
        Class<?> type = load(name);
        return method.equals("new") ? InvokerHelper.invokeConstructorOf(type, given) : InvokerHelper.invokeMethod(type, method, given);
    }
}
