package dev.slipway.runner.steps;

import hudson.AbortException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** unstash name */
public final class Unstash extends OnNode {
    private static final long serialVersionUID = 1;

    @Override
    protected void begin() throws Exception {
        String name = arguments.required("name");
        Path file = build.store.directory().resolve("stashes").resolve(name + ".tar.gz");
        if (!Files.exists(file)) {
            throw new AbortException("No such saved stash ‘" + name + "’");
        }
        byte[] packed = Files.readAllBytes(file);
        if (packed.length == 0) {
            success(null);
            return;
        }
        capture("head -c " + packed.length + " | tar xzf -", packed, (code, out) -> {
            if (code == 0) {
                success(null);
            } else {
                failure(new AbortException("unstash " + name + ": " + new String(out, StandardCharsets.UTF_8).strip()));
            }
        });
    }
}
