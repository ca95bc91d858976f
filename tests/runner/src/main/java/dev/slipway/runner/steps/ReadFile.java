package dev.slipway.runner.steps;

import java.nio.charset.StandardCharsets;
import java.nio.file.NoSuchFileException;

/** readFile file */
public final class ReadFile extends OnNode {
    private static final long serialVersionUID = 1;

    @Override
    protected void begin() throws Exception {
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
