package hudson.model;

/** A build's result; the later ones are the worse ones. */
public enum Result {
    SUCCESS, UNSTABLE, FAILURE, NOT_BUILT, ABORTED;

    public boolean isWorseThan(Result other) {
        return ordinal() > other.ordinal();
    }

    /** An unknown name is a failure, as in Jenkins. */
    public static Result fromString(String name) {
        for (Result each : values()) {
            if (each.name().equalsIgnoreCase(name)) {
                return each;
            }
        }
        return FAILURE;
    }
}
