package dev.slipway.runner.sandbox;

import java.util.function.Supplier;

/** Asks at each call of an untrusted program whether it is allowed. */
public final class Sandbox {
    private static final SandboxInterceptor INTERCEPTOR = new SandboxInterceptor();

    private Sandbox() {}

    public static <T> T inside(Supplier<T> program) {
        INTERCEPTOR.register();
        try {
            return program.get();
        } finally {
            INTERCEPTOR.unregister();
        }
    }
}
