package org.springframework.security.core.context;

/** Named by scripts that should not; nobody is logged in here. */
public final class SecurityContextHolder {
    private SecurityContextHolder() {}

    public static Object getContext() {
        throw new IllegalStateException("there is no Jenkins here");
    }
}
