package hudson.model;

/** A build, as a trusted library sees it by currentBuild.rawBuild. */
public abstract class Run {
    public abstract int getNumber();

    public String getId() {
        return String.valueOf(getNumber());
    }
}
