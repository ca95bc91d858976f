package dev.slipway.runner.sandbox;

import java.util.function.Supplier;

/** Asks at each call of an untrusted program whether it is allowed. */
public final class Sandbox {
    private static final SandboxInterceptor PROGRAM = new SandboxInterceptor(true);
    private static final SandboxInterceptor SAVING = new SandboxInterceptor(false);

    private Sandbox() {}

    /** While the program runs: it may call what it has defined itself, and what a library has. */
    public static <T> T inside(Supplier<T> program) {
        return under(PROGRAM, program::get);
    }

    /** What may fail with any exception. */
    public interface Work<T, E extends Exception> {
        T run() throws E;
    }

    /**
     * While the program is written or read: a class that is initialised then is outside the
     * scope in which a program's own classes are allowed. What is compiled as untrusted may
     * call only what the list has, not even a method or a static of its own class.
     */
    public static <T, E extends Exception> T whileSaving(Work<T, E> work) throws E {
        return under(SAVING, work);
    }

    private static <T, E extends Exception> T under(SandboxInterceptor interceptor, Work<T, E> work) throws E {
        interceptor.register();
        try {
            return work.run();
        } finally {
            interceptor.unregister();
        }
    }
}
