package hudson;

/** A name for getContext. */
public final class FilePath {
    private FilePath() {}
}
