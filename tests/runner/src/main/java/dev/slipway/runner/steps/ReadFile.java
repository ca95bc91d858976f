package dev.slipway.runner.steps;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.NoSuchFileException;

/** readFile file */
public final class ReadFile extends OnNode {
    private static final long serialVersionUID = 1;

    @Override
    protected void begin() throws Exception {
        String file = arguments.required("file");
        capture("cat -- " + quoted(file) + " 2>&1", new byte[0], (code, out) -> {
            if (code == 0) {
                success(Texts.decoded(out, arguments.text("encoding", false)));
            } else if (denied(out)) {
                failure(new IOException(new AccessDeniedException(absolute(file))));
            } else {
                failure(new NoSuchFileException(absolute(file)));
            }
        });
    }
}
