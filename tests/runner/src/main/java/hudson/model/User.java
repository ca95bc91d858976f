package hudson.model;

import java.util.Collection;

/** Named by scripts that should not: who answered or started a build is told by steps, not by this. */
public final class User {
    private User() {}

    private static IllegalStateException none() {
        return new IllegalStateException("there is no Jenkins here");
    }

    public static User current() {
        throw none();
    }

    public static User get(String name) {
        throw none();
    }

    public static User getById(String id, boolean create) {
        throw none();
    }

    public static Collection<User> getAll() {
        throw none();
    }
}
