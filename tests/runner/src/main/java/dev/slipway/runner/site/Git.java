package dev.slipway.runner.site;

import hudson.AbortException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Git on this machine. */
public final class Git {
    private Git() {}

    public static String run(Path directory, String... arguments) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of("git"));
        command.addAll(List.of(arguments));
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().put("GIT_TERMINAL_PROMPT", "0");
        if (directory != null) {
            builder.directory(directory.toFile());
        }
        Process process = builder.start();
        String out = new String(process.getInputStream().readAllBytes());
        if (process.waitFor() != 0) {
            throw new AbortException("git " + arguments[0] + " failed: " + out.strip());
        }
        return out.strip();
    }
}
