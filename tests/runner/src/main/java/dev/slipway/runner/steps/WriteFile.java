package dev.slipway.runner.steps;

import hudson.AbortException;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;

/** writeFile file, text */
public final class WriteFile extends OnNode {
    private static final long serialVersionUID = 1;

    @Override
    protected void begin() throws Exception {
        String file = arguments.required("file");
        byte[] body = Texts.encoded(arguments.text("text", false), arguments.text("encoding", false));
        String program = "mkdir -p -- \"$(dirname -- " + quoted(file) + ")\" && head -c " + body.length + " > " + quoted(file);
        capture(program, body, (code, out) -> {
            if (code == 0) {
                success(null);
            } else if (denied(out)) {
                failure(new AccessDeniedException(absolute(file)));
            } else {
                failure(new AbortException("writing " + file + ": " + new String(out, StandardCharsets.UTF_8).strip()));
            }
        });
    }
}
