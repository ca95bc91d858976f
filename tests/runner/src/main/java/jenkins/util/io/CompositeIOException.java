package jenkins.util.io;

import java.io.IOException;

/** Several files could not be dealt with. */
public final class CompositeIOException extends IOException {
    public CompositeIOException(String message) {
        super(message);
    }
}
