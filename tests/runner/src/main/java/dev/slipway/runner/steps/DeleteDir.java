package dev.slipway.runner.steps;

import jenkins.util.io.CompositeIOException;

/** deleteDir() */
public final class DeleteDir extends OnNode {
    private static final long serialVersionUID = 1;

    @Override
    protected void begin() {
        capture("cd / && rm -rf -- " + quoted(context.directory), new byte[0], (code, out) -> {
            if (code == 0) {
                success(null);
            } else {
                failure(new CompositeIOException(
                        "Unable to delete '" + context.directory
                        + "'. Tried 3 times (of a maximum of 3) waiting 0.1 sec between attempts."));
            }
        });
    }
}
