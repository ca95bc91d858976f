package jenkins.model;

/** Named by scripts that should not; there is no Jenkins behind it. */
public class Jenkins {
    public static final String VERSION = "2.426.3";

    public static Jenkins get() {
        throw new IllegalStateException("there is no Jenkins here");
    }

    public static Jenkins getInstance() {
        return get();
    }

    public static Object getAuthentication() {
        return get();
    }

    public static Object getAuthentication2() {
        return get();
    }
}
