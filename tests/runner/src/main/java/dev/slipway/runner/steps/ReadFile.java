package dev.slipway.runner.steps;

import java.nio.charset.StandardCharsets;
import java.nio.file.NoSuchFileException;

/** readFile file */
public final class ReadFile extends OnNode {
    @Override
    protected void start() throws Exception {
        String file = arguments.required("file");
        capture("cat -- " + quoted(file), new byte[0], (code, out) -> {
            if (code == 0) {
                success(new String(out, StandardCharsets.UTF_8));
            } else {
                failure(new NoSuchFileException(context.directory + "/" + file));
            }
        });
    }
}
