package hudson.tasks;

/** Named by scripts that should not; no mail is sent from here. */
public final class Mailer {
    private Mailer() {}

    public static Object descriptor() {
        throw new IllegalStateException("there is no Jenkins here");
    }
}
