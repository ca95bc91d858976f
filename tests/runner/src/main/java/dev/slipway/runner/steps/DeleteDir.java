package dev.slipway.runner.steps;

import hudson.AbortException;
import java.nio.charset.StandardCharsets;

/** deleteDir() */
public final class DeleteDir extends OnNode {
    private static final long serialVersionUID = 1;

    @Override
    protected void begin() {
        capture("cd / && rm -rf -- " + quoted(context.directory), new byte[0], (code, out) -> {
            if (code == 0) {
                success(null);
            } else {
                failure(new AbortException(new String(out, StandardCharsets.UTF_8).strip()));
            }
        });
    }
}
