package dev.slipway.runner.sandbox;

import com.cloudbees.groovy.cps.impl.CpsClosure;
import dev.slipway.runner.engine.Build;
import dev.slipway.runner.engine.CpsScript;
import groovy.lang.Closure;
import groovy.lang.GroovyClassLoader;
import groovy.lang.MissingMethodException;
import groovy.lang.MissingPropertyException;
import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.lang.reflect.Member;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.codehaus.groovy.runtime.DateGroovyMethods;
import org.codehaus.groovy.runtime.DefaultGroovyMethods;
import org.codehaus.groovy.runtime.EncodingGroovyMethods;
import org.codehaus.groovy.runtime.MetaClassHelper;
import org.codehaus.groovy.runtime.ProcessGroovyMethods;
import org.codehaus.groovy.runtime.SqlGroovyMethods;
import org.codehaus.groovy.runtime.StringGroovyMethods;
import org.codehaus.groovy.runtime.SwingGroovyMethods;
import org.codehaus.groovy.runtime.XmlGroovyMethods;
import org.jenkinsci.plugins.scriptsecurity.sandbox.RejectedAccessException;
import org.jenkinsci.plugins.workflow.cps.EnvActionImpl;
import org.jenkinsci.plugins.workflow.libs.LoadedClasses;
import org.kohsuke.groovy.sandbox.GroovyInterceptor;
import org.kohsuke.groovy.sandbox.impl.Checker;

/**
 * Finds what an untrusted program's call means, and lets it through where the whitelist has
 * it, or where it is the program's own. What is looked for, and in which order, is as in
 * SandboxInterceptor of the script-security plugin.
 */
final class SandboxInterceptor extends GroovyInterceptor {
    /** Groovy's additions to Java's classes, in the order in which a signature is looked for. */
    private static final List<Class<?>> ADDITIONS = List.of(DefaultGroovyMethods.class, StringGroovyMethods.class, SwingGroovyMethods.class,
            SqlGroovyMethods.class, XmlGroovyMethods.class, EncodingGroovyMethods.class, DateGroovyMethods.class,
                    ProcessGroovyMethods.class);
    private static final Set<String> ARITHMETIC = Set.of("plus", "minus", "multiply", "div", "compareTo", "or", "and", "xor", "intdiv",
            "mod",
            "leftShift", "rightShift", "rightShiftUnsigned");
    /** What every script has of its own. */
    private static final Set<String> SCRIPTS = Set.of("invokeMethod", "evaluate", "println", "print", "printf", "sleep", "getProperty");
    private static final Object[] NONE = {};
    /** Members of Java's, Groovy's and the engine's classes; those of a program's own are never asked twice. */
    private static final Map<Member, Boolean> KNOWN = new ConcurrentHashMap<>();

    private final boolean ownAllowed;

    /** Whether the program's own classes are allowed. */
    SandboxInterceptor(boolean ownAllowed) {
        this.ownAllowed = ownAllowed;
    }

    @Override
    public Object onMethodCall(Invoker invoker, Object receiver, String name, Object... arguments) throws Throwable {
        if (receiver == Checker.class || receiver instanceof LoadedClasses || receiver instanceof EnvActionImpl
                && (name.equals("getProperty") || name.equals("setProperty"))) {
            return super.onMethodCall(invoker, receiver, name, arguments);
        }
        Method method = Signatures.method(receiver, name, arguments);
        if (method != null) {
            boolean ofScript = receiver instanceof CpsScript && SCRIPTS.contains(name);
            if (!ofScript && name.equals("invokeMethod") && arguments.length == 2 && arguments[0] instanceof String
                    && arguments[1] instanceof Object[] given
                    && !permits(method)) {
                throw refused("Scripts not permitted to use " + Signatures.of(method) + " (" + Signatures.name(receiver.getClass()) + " "
                        + arguments[0]
                        + Signatures.namesOf(given) + ")", ownAllowed);
            }
            if (!ofScript) {
                require(method);
            }
        } else if (!(receiver instanceof Number && ARITHMETIC.contains(name))) {
            Object answer = requireAddition(invoker, receiver, name, arguments);
            if (answer != invoker) {
                return answer;
            }
        }
        return super.onMethodCall(invoker, receiver, name, arguments);
    }

    /** Answers the invoker where the call itself may go on. */
    private Object requireAddition(Invoker invoker, Object receiver, String name, Object[] arguments) throws Throwable {
        List<Method> additions = additions(receiver, name, arguments);
        if (additions.stream().anyMatch(this::permits)) {
            return invoker;
        }
        if (!additions.isEmpty()) {
            throw refused(Signatures.of(additions.get(0)));
        }
        if (receiver instanceof Map<?, ?> map && map.get(name) instanceof Closure<?> closure) {
            return onMethodCall(invoker, closure, "call", arguments);
        }
        if (receiver instanceof CpsScript || receiver instanceof CpsClosure) {
            return invoker;
        }
        try {
            receiver.getClass().getMethod("invokeMethod", String.class, Object.class);
        } catch (NoSuchMethodException none) {
            throw new MissingMethodException(name, receiver.getClass(), arguments);
        }
        return onMethodCall(invoker, receiver, "invokeMethod", name, arguments);
    }

    @Override
    public Object onStaticCall(Invoker invoker, Class receiver, String name, Object... arguments) throws Throwable {
        if (receiver == Checker.class) {
            // How the engine asks about a cast, which asks here again.
            return super.onStaticCall(invoker, receiver, name, arguments);
        }
        // As in Jenkins: neither what a superclass has nor what Groovy adds to a class is found.
        Method method = Signatures.staticMethod(receiver, name, arguments);
        if (method == null) {
            throw refused("No such static method found: staticMethod " + Signatures.name(receiver) + " " + name
                    + Signatures.namesOf(arguments), false);
        }
        require(method);
        return super.onStaticCall(invoker, receiver, name, arguments);
    }

    @Override
    public Object onNewInstance(Invoker invoker, Class receiver, Object... arguments) throws Throwable {
        Constructor<?> constructor = Signatures.constructor(receiver, arguments);
        if (constructor == null) {
            throw refused("No such constructor found: new " + Signatures.name(receiver) + Signatures.namesOf(arguments), false);
        }
        require(constructor);
        return super.onNewInstance(invoker, receiver, arguments);
    }

    @Override
    public Object onSuperCall(Invoker invoker, Class sender, Object receiver, String name, Object... arguments) throws Throwable {
        Method method = Signatures.method(receiver, name, arguments);
        if (method == null) {
            throw refused("No such method found: super.method " + Signatures.name(receiver.getClass()) + " " + name
                    + Signatures.namesOf(arguments), false);
        }
        require(method);
        return super.onSuperCall(invoker, sender, receiver, name, arguments);
    }

    @Override
    public Object onGetProperty(Invoker invoker, Object receiver, String property) throws Throwable {
        boolean anElement = receiver instanceof Collection<?> || receiver instanceof Map || receiver.getClass().isArray()
                && property.equals("length");
        boolean dynamic = receiver instanceof EnvActionImpl || receiver instanceof LoadedClasses;
        if (!anElement && !dynamic && !(receiver instanceof CpsScript && !property.equals("metaClass"))) {
            requireAny(receiver, property, getters(receiver, property));
        }
        return super.onGetProperty(invoker, receiver, property);
    }

    /** What may be behind a property that is read, the first that is looked for first. */
    private static List<Member> getters(Object receiver, String property) {
        List<Member> all = new ArrayList<>();
        String get = "get" + MetaClassHelper.capitalize(property);
        String is = "is" + MetaClassHelper.capitalize(property);
        add(all, Signatures.method(receiver, get, NONE));
        add(all, ofBoolean(Signatures.method(receiver, is, NONE)));
        all.addAll(additions(receiver, get, NONE));
        additions(receiver, is, NONE).forEach(each -> add(all, ofBoolean(each)));
        add(all, Signatures.field(receiver, property));
        if (receiver instanceof Class<?> type) {
            add(all, Signatures.staticMethod(type, get, NONE));
            add(all, ofBoolean(Signatures.staticMethod(type, is, NONE)));
            add(all, Signatures.staticField(type, property));
        }
        return all;
    }

    @Override
    public Object onSetProperty(Invoker invoker, Object receiver, String property, Object value) throws Throwable {
        if (!(receiver instanceof Map || receiver instanceof EnvActionImpl || receiver instanceof CpsScript
                && !property.equals("metaClass"))) {
            List<Member> all = new ArrayList<>();
            String set = "set" + MetaClassHelper.capitalize(property);
            add(all, Signatures.setter(receiver, set, new Object[] {value}));
            add(all, Signatures.field(receiver, property));
            if (receiver instanceof Class<?> type) {
                add(all, Signatures.staticMethod(type, set, new Object[] {value}));
                add(all, Signatures.staticField(type, property));
            }
            requireAny(receiver, property, all);
        }
        return super.onSetProperty(invoker, receiver, property, value);
    }

    @Override
    public Object onGetAttribute(Invoker invoker, Object receiver, String attribute) throws Throwable {
        requireField(receiver, attribute);
        return super.onGetAttribute(invoker, receiver, attribute);
    }

    @Override
    public Object onSetAttribute(Invoker invoker, Object receiver, String attribute, Object value) throws Throwable {
        requireField(receiver, attribute);
        return super.onSetAttribute(invoker, receiver, attribute, value);
    }

    private void requireField(Object receiver, String name) {
        List<Member> all = new ArrayList<>();
        add(all, Signatures.field(receiver, name));
        if (receiver instanceof Class<?> type) {
            add(all, Signatures.staticField(type, name));
        }
        requireAny(receiver, name, all);
    }

    @Override
    public Object onGetArray(Invoker invoker, Object receiver, Object index) throws Throwable {
        if (!receiver.getClass().isArray() || !(index instanceof Integer)) {
            requireElement(receiver, "getAt", "method ", "", index);
        }
        return super.onGetArray(invoker, receiver, index);
    }

    @Override
    public Object onSetArray(Invoker invoker, Object receiver, Object index, Object value) throws Throwable {
        if (!receiver.getClass().isArray() || !(index instanceof Integer)) {
            requireElement(receiver, "putAt", "putAt method ", "=" + nameOf(value), index, value);
        }
        return super.onSetArray(invoker, receiver, index, value);
    }

    /** The first method of that name has to be allowed; of Groovy's additions none after it is looked for. */
    private void requireElement(Object receiver, String name, String kind, String assigned, Object... arguments) {
        Method method = Signatures.method(receiver, name, arguments);
        if (method == null) {
            method = additions(receiver, name, arguments).stream().findFirst()
                    .orElseThrow(() -> refused("No such " + name + " method found: " + kind
                    + nameOf(receiver) + "[" + nameOf(arguments[0]) + "]" + assigned, false));
        }
        require(method);
    }

    private static String nameOf(Object value) {
        return Signatures.namesOf(new Object[] {value}).strip();
    }

    private static void add(List<Member> all, Member member) {
        if (member != null) {
            all.add(member);
        }
    }

    private static Method ofBoolean(Method method) {
        return method != null && method.getReturnType() == boolean.class ? method : null;
    }

    private static List<Method> additions(Object receiver, String name, Object[] arguments) {
        Object[] all = new Object[arguments.length + 1];
        all[0] = receiver;
        System.arraycopy(arguments, 0, all, 1, arguments.length);
        List<Method> found = new ArrayList<>();
        for (Class<?> type : ADDITIONS) {
            Method method = Signatures.staticMethod(type, name, all);
            if (method != null) {
                found.add(method);
            }
        }
        return found;
    }

    /** One of them has to be allowed; where none is, the first is named. */
    private void requireAny(Object receiver, String property, List<Member> members) {
        if (members.isEmpty() && !isOwn(receiver.getClass()) && !(receiver instanceof Class<?> type && isOwn(type))) {
            throw new MissingPropertyException("No such field found: field " + Signatures.name(receiver.getClass()) + " " + property);
        }
        if (!members.isEmpty() && members.stream().noneMatch(this::permits)) {
            throw refused(signature(members.get(0)));
        }
    }

    private void require(Member member) {
        if (!permits(member)) {
            throw refused(signature(member));
        }
    }

    private boolean permits(Member member) {
        if (member.getDeclaringClass().getClassLoader() instanceof GroovyClassLoader) {
            return ownAllowed;
        }
        return KNOWN.computeIfAbsent(member, each -> isOwn(each.getDeclaringClass()) || Whitelist.allows(signature(each)));
    }

    private static String signature(Member member) {
        return member instanceof Method method ? Signatures.of(method) : member instanceof Field field ? Signatures.of(field)
                : Signatures.of((Constructor<?>) member);
    }

    /** What the program, or a library, has defined itself, and what every script has. */
    private static boolean isOwn(Class<?> type) {
        return type.getClassLoader() instanceof GroovyClassLoader || type == CpsScript.class || CpsClosure.class.isAssignableFrom(type);
    }

    private RejectedAccessException refused(String signature) {
        return refused("Scripts not permitted to use " + signature, ownAllowed);
    }

    /** The console says so, unless nobody reads while the program is written. */
    private RejectedAccessException refused(String message, boolean said) {
        if (said) {
            Build.current().console.line(message + ". Administrators can decide whether to approve or reject this signature.");
        }
        return new RejectedAccessException(message);
    }
}
