package dev.slipway.runner.sandbox;

import com.cloudbees.groovy.cps.impl.CpsClosure;
import dev.slipway.runner.engine.Build;
import dev.slipway.runner.engine.CpsScript;
import groovy.lang.Closure;
import groovy.lang.GroovyClassLoader;
import groovy.lang.GroovyObject;
import groovy.lang.MissingMethodException;
import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.codehaus.groovy.runtime.DateGroovyMethods;
import org.codehaus.groovy.runtime.DefaultGroovyMethods;
import org.codehaus.groovy.runtime.EncodingGroovyMethods;
import org.codehaus.groovy.runtime.MetaClassHelper;
import org.codehaus.groovy.runtime.ProcessGroovyMethods;
import org.codehaus.groovy.runtime.StringGroovyMethods;
import org.jenkinsci.plugins.scriptsecurity.sandbox.RejectedAccessException;
import org.jenkinsci.plugins.workflow.cps.EnvActionImpl;
import org.kohsuke.groovy.sandbox.GroovyInterceptor;
import org.kohsuke.groovy.sandbox.impl.Checker;

/** Finds what an untrusted program's call means, and lets it through where the whitelist has it, or where it is the program's own. */
final class SandboxInterceptor extends GroovyInterceptor {
    /** Groovy's additions to Java's classes, in the order in which a signature is looked for. */
    private static final List<Class<?>> ADDITIONS = List.of(DefaultGroovyMethods.class, StringGroovyMethods.class, EncodingGroovyMethods.class, DateGroovyMethods.class, ProcessGroovyMethods.class);
    private static final Set<String> ARITHMETIC = Set.of("plus", "minus", "multiply", "div", "mod", "power", "compareTo", "or", "and", "xor", "negative", "positive", "next", "previous",
            "leftShift", "rightShift", "rightShiftUnsigned", "bitwiseNegate");
    private static final Object[] NONE = {};

    @Override
    public Object onMethodCall(Invoker invoker, Object receiver, String name, Object... arguments) throws Throwable {
        if (receiver == Checker.class || receiver instanceof EnvActionImpl && (name.equals("getProperty") || name.equals("setProperty"))) {
            return super.onMethodCall(invoker, receiver, name, arguments);
        }
        Method method = Signatures.method(receiver, name, arguments);
        if (method != null) {
            if (!isOwn(method.getDeclaringClass(), name)) {
                require(Signatures.of(method));
            }
        } else if (!(receiver instanceof Number && ARITHMETIC.contains(name))) {
            Method addition = addition(receiver, name, arguments);
            if (addition != null) {
                require(Signatures.of(addition));
            } else if (!(receiver instanceof GroovyObject) && !(receiver instanceof Map)) {
                throw new MissingMethodException(name, receiver.getClass(), arguments);
            }
        }
        return super.onMethodCall(invoker, receiver, name, arguments);
    }

    @Override
    public Object onStaticCall(Invoker invoker, Class receiver, String name, Object... arguments) throws Throwable {
        if (receiver == Checker.class) {
            // How the engine asks about a cast, which asks here again.
            return super.onStaticCall(invoker, receiver, name, arguments);
        }
        Method method = Signatures.staticMethod(receiver, name, arguments);
        if (method != null && !isOwn(method.getDeclaringClass(), name)) {
            require(Signatures.of(method));
        } else if (method == null && addition(receiver, name, arguments) != null) {
            require(Signatures.of(addition(receiver, name, arguments)));
        }
        return super.onStaticCall(invoker, receiver, name, arguments);
    }

    @Override
    public Object onNewInstance(Invoker invoker, Class receiver, Object... arguments) throws Throwable {
        Constructor<?> constructor = Signatures.constructor(receiver, arguments);
        if (constructor != null && !isOwn(receiver, "")) {
            require(Signatures.of(constructor));
        }
        return super.onNewInstance(invoker, receiver, arguments);
    }

    @Override
    public Object onGetProperty(Invoker invoker, Object receiver, String property) throws Throwable {
        if (receiver instanceof Collection<?> || receiver instanceof Map || receiver.getClass().isArray() && property.equals("length")) {
            return super.onGetProperty(invoker, receiver, property);
        }
        if (receiver instanceof EnvActionImpl || receiver instanceof CpsScript && !property.equals("metaClass")) {
            return super.onGetProperty(invoker, receiver, property);
        }
        requireAccess(receiver, property, "get", NONE);
        return super.onGetProperty(invoker, receiver, property);
    }

    @Override
    public Object onSetProperty(Invoker invoker, Object receiver, String property, Object value) throws Throwable {
        if (!(receiver instanceof Map || receiver instanceof EnvActionImpl || receiver instanceof CpsScript && !property.equals("metaClass"))) {
            requireAccess(receiver, property, "set", new Object[] {value});
        }
        return super.onSetProperty(invoker, receiver, property, value);
    }

    @Override
    public Object onGetAttribute(Invoker invoker, Object receiver, String attribute) throws Throwable {
        Field field = Signatures.field(receiver.getClass(), attribute, false);
        if (field != null && !isOwn(field.getDeclaringClass(), "")) {
            require(Signatures.of(field));
        }
        return super.onGetAttribute(invoker, receiver, attribute);
    }

    @Override
    public Object onSetAttribute(Invoker invoker, Object receiver, String attribute, Object value) throws Throwable {
        Field field = Signatures.field(receiver.getClass(), attribute, false);
        if (field != null && !isOwn(field.getDeclaringClass(), "")) {
            require(Signatures.of(field));
        }
        return super.onSetAttribute(invoker, receiver, attribute, value);
    }

    @Override
    public Object onGetArray(Invoker invoker, Object receiver, Object index) throws Throwable {
        if (!receiver.getClass().isArray()) {
            return onMethodCall(invoker, receiver, "getAt", index);
        }
        return super.onGetArray(invoker, receiver, index);
    }

    @Override
    public Object onSetArray(Invoker invoker, Object receiver, Object index, Object value) throws Throwable {
        if (!receiver.getClass().isArray()) {
            return onMethodCall(invoker, receiver, "putAt", index, value);
        }
        return super.onSetArray(invoker, receiver, index, value);
    }

    /** A property is a getter or setter, a field, or an addition of Groovy's; the first that there is has to be allowed. */
    private void requireAccess(Object receiver, String property, String prefix, Object[] arguments) {
        String capitalized = MetaClassHelper.capitalize(property);
        Field field = receiver instanceof CpsScript ? Signatures.field(receiver.getClass(), property, false) : null;
        if (field != null) {
            requireUnlessOwn(field);
            return;
        }
        Method accessor = Signatures.method(receiver, prefix + capitalized, arguments);
        if (accessor == null && prefix.equals("get")) {
            accessor = Signatures.method(receiver, "is" + capitalized, arguments);
        }
        if (accessor == null && receiver instanceof Class<?> type) {
            accessor = Signatures.staticMethod(type, prefix + capitalized, arguments);
            Field constant = accessor == null ? Signatures.field(type, property, true) : null;
            if (constant != null) {
                if (!constant.isEnumConstant()) {
                    requireUnlessOwn(constant);
                }
                return;
            }
        }
        if (accessor == null) {
            accessor = addition(receiver, prefix + capitalized, arguments);
        }
        if (accessor != null) {
            if (!isOwn(accessor.getDeclaringClass(), "")) {
                require(Signatures.of(accessor));
            }
            return;
        }
        Field plain = Signatures.field(receiver.getClass(), property, false);
        if (plain != null) {
            requireUnlessOwn(plain);
        }
    }

    private static void requireUnlessOwn(Field field) {
        if (!isOwn(field.getDeclaringClass(), "")) {
            require(Signatures.of(field));
        }
    }

    private static Method addition(Object receiver, String name, Object[] arguments) {
        Object[] all = new Object[arguments.length + 1];
        all[0] = receiver;
        System.arraycopy(arguments, 0, all, 1, arguments.length);
        for (Class<?> type : ADDITIONS) {
            Method found = Signatures.staticMethod(type, name, all);
            if (found != null) {
                return found;
            }
        }
        return null;
    }

    /** What the program, or a library, has defined itself, and what every script has. */
    private static boolean isOwn(Class<?> type, String method) {
        return type.getClassLoader() instanceof GroovyClassLoader || type.getClassLoader() instanceof GroovyClassLoader.InnerLoader
                || type == CpsScript.class || type == CpsClosure.class || CpsClosure.class.isAssignableFrom(type) && type != Closure.class;
    }

    private static void require(String signature) {
        if (!Whitelist.allows(signature)) {
            RejectedAccessException refused = new RejectedAccessException(signature);
            Build.current().console.line(refused.getMessage() + ". Administrators can decide whether to approve or reject this signature.");
            throw refused;
        }
    }
}
