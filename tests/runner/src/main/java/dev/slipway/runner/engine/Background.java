package dev.slipway.runner.engine;

import dev.slipway.runner.nodes.PodNode;
import java.io.File;
import java.io.IOException;

/** A command that --at starts beside the build. */
final class Background {
    private Background() {}

    /** Its output goes to the build's folder, not into the console; STEP, POD and NAMESPACE say where the build is. */
    static void start(String command, Step step, Build build) {
        ProcessBuilder builder = new ProcessBuilder("sh", "-c", command).redirectErrorStream(true);
        builder.environment().put("STEP", String.valueOf(step.number()));
        builder.environment().put("RUNNER", String.valueOf(ProcessHandle.current().pid()));
        if (step.context().node instanceof PodNode pod) {
            builder.environment().put("POD", pod.name());
            builder.environment().put("NAMESPACE", pod.namespace());
        }
        File out = build.store.directory().resolve("at-" + step.number() + ".log").toFile();
        builder.redirectOutput(out).redirectInput(new File("/dev/null"));
        try {
            builder.start();
        } catch (IOException problem) {
            build.console.line("runner: --at " + step.number() + ": " + problem.getMessage());
        }
    }
}
