package hudson.model;

/** A build's result; the later ones are the worse ones. */
public enum Result {
    SUCCESS, UNSTABLE, FAILURE, NOT_BUILT, ABORTED;

    public boolean isWorseThan(Result other) {
        return ordinal() > other.ordinal();
    }
}
