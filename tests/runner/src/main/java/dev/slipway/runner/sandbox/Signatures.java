package dev.slipway.runner.sandbox;

import groovy.lang.GString;
import groovy.lang.GroovyInterceptable;
import java.lang.reflect.Constructor;
import java.lang.reflect.Executable;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * Which method, constructor or field of Java a call of Groovy's means, by the rules of
 * Jenkins' own sandbox (GroovyCallSiteSelector of the script-security plugin), and how Jenkins writes it.
 */
final class Signatures {
    private static final Map<Class<?>, Class<?>> BOXES = Map.of(boolean.class, Boolean.class, byte.class, Byte.class, char.class,
            Character.class,
            short.class, Short.class, int.class, Integer.class, long.class, Long.class, float.class, Float.class, double.class,
                    Double.class);
    private static final List<Method> NONE = List.of();

    private static final ClassValue<Map<String, List<Method>>> DECLARED = new ClassValue<>() {
        @Override
        protected Map<String, List<Method>> computeValue(Class<?> type) {
            return Arrays.stream(type.getDeclaredMethods()).collect(Collectors.groupingBy(Method::getName));
        }
    };
    /** The supertypes first: what an interface promises is named by the interface. */
    private static final ClassValue<Set<Class<?>>> TYPES = new ClassValue<>() {
        @Override
        protected Set<Class<?>> computeValue(Class<?> type) {
            Set<Class<?>> all = new LinkedHashSet<>();
            if (type.getSuperclass() != null) {
                all.addAll(TYPES.get(type.getSuperclass()));
            }
            for (Class<?> each : type.getInterfaces()) {
                all.addAll(TYPES.get(each));
            }
            all.add(type);
            return all;
        }
    };

    private Signatures() {}

    /** The most general definition of a method, or null. */
    static Method method(Object receiver, String name, Object[] arguments) {
        Set<Class<?>> types = TYPES.get(receiver.getClass());
        if (types.contains(GroovyInterceptable.class) && !name.equals("invokeMethod")) {
            return method(receiver, "invokeMethod", new Object[] {name, arguments});
        }
        for (Class<?> type : types) {
            Method found = staticMethod(type, name, arguments);
            if (found != null) {
                return found;
            }
        }
        return receiver instanceof GString ? staticMethod(String.class, name, arguments) : null;
    }

    /** The method that the class itself declares, or null. */
    static Method staticMethod(Class<?> type, String name, Object[] arguments) {
        Method best = null;
        for (Method each : declared(type, name)) {
            if (fits(each.getParameterTypes(), arguments, isVariable(each, arguments))
                    && (best == null || isMoreSpecific(each, isVariable(each, arguments), best, isVariable(best, arguments)))) {
                best = each;
            }
        }
        return best;
    }

    private static List<Method> declared(Class<?> type, String name) {
        return DECLARED.get(type).getOrDefault(name, NONE);
    }

    /** The only setter of that name, whatever its argument's type, or the one that fits. */
    static Method setter(Object receiver, String name, Object[] value) {
        List<Method> all = TYPES.get(receiver.getClass()).stream().flatMap(type -> declared(type,
                name).stream()).filter(each -> each.getParameterCount() == 1).toList();
        return all.size() == 1 ? all.get(0) : method(receiver, name, value);
    }

    static Constructor<?> constructor(Class<?> type, Object[] arguments) {
        Constructor<?> best = null;
        for (Constructor<?> each : type.getDeclaredConstructors()) {
            if (fits(each.getParameterTypes(), arguments, each.isVarArgs()) && (best == null || isMoreSpecific(each, each.isVarArgs(),
                    best, best.isVarArgs()))) {
                best = each;
            }
        }
        if (best == null && arguments.length == 1 && arguments[0] instanceof Map) {
            // Groovy sets the properties one by one.
            return Arrays.stream(type.getDeclaredConstructors()).filter(each -> each.getParameterCount() == 0).findFirst().orElse(null);
        }
        return best;
    }

    static Field field(Object receiver, String name) {
        for (Class<?> type : TYPES.get(receiver.getClass())) {
            Field found = staticField(type, name);
            if (found != null) {
                return found;
            }
        }
        return null;
    }

    static Field staticField(Class<?> type, String name) {
        return Arrays.stream(type.getDeclaredFields()).filter(each -> each.getName().equals(name)).findFirst().orElse(null);
    }

    private static boolean isVariable(Method method, Object[] arguments) {
        Class<?>[] types = method.getParameterTypes();
        int last = types.length - 1;
        if (method.isVarArgs() || last < 1 || !types[last].isArray() || arguments.length <= types.length) {
            return method.isVarArgs();
        }
        return Arrays.stream(arguments, last, arguments.length).allMatch(each -> each == null
                || types[last].getComponentType().isInstance(each));
    }

    private static boolean fits(Class<?>[] types, Object[] arguments, boolean variable) {
        int fixed = types.length - 1;
        if (variable && arguments.length >= fixed && !(arguments.length == types.length && types[fixed].isInstance(arguments[fixed]))) {
            Class<?> rest = BOXES.getOrDefault(types[fixed].getComponentType(), types[fixed].getComponentType());
            if (arguments.length == fixed || arguments[fixed] == null || rest.isInstance(arguments[fixed])) {
                return allFit(types, arguments, fixed);
            }
        }
        return types.length == arguments.length && allFit(types, arguments, types.length);
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
        if (BOXES.getOrDefault(type, type).isInstance(argument) || type == String.class && argument instanceof GString) {
            return true;
        }
        // An int goes where a long is wanted, and a long that is small enough where an int is.
        return type == long.class && argument instanceof Integer || type == int.class && argument instanceof Long number
                && number == number.intValue();
    }

    private static boolean isMoreSpecific(Executable one, boolean oneVariable, Executable other, boolean otherVariable) {
        if (oneVariable != otherVariable) {
            return otherVariable;
        }
        Class<?>[] a = one.getParameterTypes();
        Class<?>[] b = other.getParameterTypes();
        for (int i = 0; i < Math.min(a.length, b.length); i++) {
            Class<?> left = BOXES.getOrDefault(a[i], a[i]);
            Class<?> right = BOXES.getOrDefault(b[i], b[i]);
            if (left.isAssignableFrom(right) || left == Long.class && right == Integer.class) {
                return false;
            }
            if (right.isAssignableFrom(left) || left == Integer.class && right == Long.class) {
                return true;
            }
        }
        // Neither is: the later in the alphabet.
        return one.toString().compareTo(other.toString()) > 0;
    }

    static String of(Method method) {
        String kind = Modifier.isStatic(method.getModifiers()) ? "staticMethod " : "method ";
        return kind + method.getDeclaringClass().getName() + " " + method.getName() + names(method.getParameterTypes());
    }

    static String of(Constructor<?> constructor) {
        return "new " + constructor.getDeclaringClass().getName() + names(constructor.getParameterTypes());
    }

    static String of(Field field) {
        return (Modifier.isStatic(field.getModifiers()) ? "staticField " : "field ") + field.getDeclaringClass().getName() + " "
                + field.getName();
    }

    /** The types of these values, each after a blank. */
    static String namesOf(Object[] values) {
        return Arrays.stream(values).map(each -> " " + (each == null ? "null" : name(each.getClass()))).collect(Collectors.joining());
    }

    private static String names(Class<?>[] types) {
        return Arrays.stream(types).map(type -> " " + name(type)).collect(Collectors.joining());
    }

    static String name(Class<?> type) {
        return type.isArray() ? name(type.getComponentType()) + "[]" : type.getName();
    }
}
