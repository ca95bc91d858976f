package dev.slipway.runner.sandbox;

import groovy.lang.GString;
import java.lang.reflect.Constructor;
import java.lang.reflect.Executable;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;

/** Which method, constructor or field of Java a call of Groovy's means, and how Jenkins writes it. */
final class Signatures {
    private static final Map<Class<?>, Class<?>> BOXES = Map.of(boolean.class, Boolean.class, byte.class, Byte.class, char.class, Character.class, short.class, Short.class,
            int.class, Integer.class, long.class, Long.class, float.class, Float.class, double.class, Double.class);

    private Signatures() {}

    static Method method(Object receiver, String name, Object[] arguments) {
        for (Class<?> type : types(receiver.getClass())) {
            Method found = declared(type, name, arguments, false);
            if (found != null) {
                return found;
            }
        }
        return null;
    }

    static Method staticMethod(Class<?> type, String name, Object[] arguments) {
        for (Class<?> each = type; each != null; each = each.getSuperclass()) {
            Method found = declared(each, name, arguments, true);
            if (found != null) {
                return found;
            }
        }
        return null;
    }

    private static Method declared(Class<?> type, String name, Object[] arguments, boolean isStatic) {
        Method best = null;
        for (Method each : type.getDeclaredMethods()) {
            if (each.getName().equals(name) && Modifier.isStatic(each.getModifiers()) == isStatic && !each.isBridge() && fits(each, arguments) && (best == null || preferred(each, best))) {
                best = each;
            }
        }
        return best;
    }

    static Constructor<?> constructor(Class<?> type, Object[] arguments) {
        Constructor<?> best = null;
        for (Constructor<?> each : type.getDeclaredConstructors()) {
            if (!each.isSynthetic() && fits(each, arguments) && (best == null || moreSpecific(each, best))) {
                best = each;
            }
        }
        return best;
    }

    static Field field(Class<?> type, String name, boolean isStatic) {
        for (Class<?> each : types(type)) {
            for (Field field : each.getDeclaredFields()) {
                if (field.getName().equals(name) && Modifier.isStatic(field.getModifiers()) == isStatic) {
                    return field;
                }
            }
        }
        return null;
    }

    /** The supertypes first: what an interface promises is named by the interface. */
    private static Set<Class<?>> types(Class<?> type) {
        Set<Class<?>> all = new LinkedHashSet<>();
        visit(type, all);
        return all;
    }

    private static void visit(Class<?> type, Set<Class<?>> all) {
        if (type.getSuperclass() != null) {
            visit(type.getSuperclass(), all);
        }
        for (Class<?> each : type.getInterfaces()) {
            visit(each, all);
        }
        all.add(type);
    }

    private static boolean fits(Executable call, Object[] arguments) {
        Class<?>[] types = call.getParameterTypes();
        if (types.length == arguments.length && allFit(types, arguments, types.length)) {
            return true;
        }
        if (!call.isVarArgs() || arguments.length < types.length - 1 || !allFit(types, arguments, types.length - 1)) {
            return false;
        }
        Class<?> rest = types[types.length - 1].getComponentType();
        return Arrays.stream(arguments, types.length - 1, arguments.length).allMatch(each -> fits(rest, each));
    }

    private static boolean allFit(Class<?>[] types, Object[] arguments, int count) {
        for (int i = 0; i < count; i++) {
            if (!fits(types[i], arguments[i])) {
                return false;
            }
        }
        return true;
    }

    private static boolean fits(Class<?> type, Object argument) {
        if (argument == null) {
            return !type.isPrimitive();
        }
        Class<?> boxed = BOXES.getOrDefault(type, type);
        if (boxed.isInstance(argument) || type == String.class && argument instanceof GString) {
            return true;
        }
        // An int goes where a long is wanted.
        return type.isPrimitive() && argument instanceof Number && Number.class.isAssignableFrom(boxed)
                && !(argument instanceof Double || argument instanceof java.math.BigDecimal) | type == double.class | type == float.class && widens(argument.getClass(), boxed);
    }

    private static boolean widens(Class<?> from, Class<?> to) {
        java.util.List<Class<?>> order = java.util.List.of(Byte.class, Short.class, Integer.class, Long.class, Float.class, Double.class);
        return order.indexOf(to) >= order.indexOf(from);
    }

    /** Java tells a class's methods in any order: where neither of two is the more specific, their names decide. */
    private static boolean preferred(Method one, Method other) {
        return moreSpecific(one, other) || !moreSpecific(other, one) && of(one).compareTo(of(other)) < 0;
    }

    private static boolean moreSpecific(Executable one, Executable other) {
        if (one.isVarArgs() != other.isVarArgs()) {
            return other.isVarArgs();
        }
        Class<?>[] a = one.getParameterTypes();
        Class<?>[] b = other.getParameterTypes();
        if (a.length != b.length) {
            return false;
        }
        for (int i = 0; i < a.length; i++) {
            Class<?> left = BOXES.getOrDefault(a[i], a[i]);
            Class<?> right = BOXES.getOrDefault(b[i], b[i]);
            if (left != right && right.isAssignableFrom(left)) {
                return true;
            }
            if (left != right && left.isAssignableFrom(right)) {
                return false;
            }
            if (left != right && a[i].isPrimitive() && b[i].isPrimitive()) {
                return widens(left, right);
            }
        }
        return false;
    }

    static String of(Method method) {
        return (Modifier.isStatic(method.getModifiers()) ? "staticMethod " : "method ") + method.getDeclaringClass().getName() + " " + method.getName() + types(method.getParameterTypes());
    }

    static String of(Constructor<?> constructor) {
        return "new " + constructor.getDeclaringClass().getName() + types(constructor.getParameterTypes());
    }

    static String of(Field field) {
        return (Modifier.isStatic(field.getModifiers()) ? "staticField " : "field ") + field.getDeclaringClass().getName() + " " + field.getName();
    }

    private static String types(Class<?>[] types) {
        StringBuilder text = new StringBuilder();
        for (Class<?> type : types) {
            text.append(' ').append(type.isArray() ? type.getComponentType().getName() + "[]" : type.getName());
        }
        return text.toString();
    }
}
