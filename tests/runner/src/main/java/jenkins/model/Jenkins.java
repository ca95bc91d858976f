package jenkins.model;

/** Named by scripts that should not; there is no Jenkins behind it. */
public class Jenkins {
    public static Jenkins get() {
        throw new IllegalStateException("there is no Jenkins here");
    }

    public static Jenkins getInstance() {
        return get();
    }
}
