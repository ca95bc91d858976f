package hudson;

import java.io.IOException;

/** Ends a build with its message alone, as error(...) and a failed sh do. */
public class AbortException extends IOException {
    public AbortException(String message) {
        super(message);
    }
}
