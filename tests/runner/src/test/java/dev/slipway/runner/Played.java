package dev.slipway.runner;

import dev.slipway.runner.engine.Options;
import dev.slipway.runner.engine.Runner;
import hudson.model.Result;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/** A job whose builds a test plays in this process. */
public final class Played {
    public final Path home;
    private final Path jenkinsfile;

    public Played(Path folder, String script) throws IOException {
        home = folder.resolve("home");
        jenkinsfile = folder.resolve("Jenkinsfile");
        Files.writeString(jenkinsfile, script);
    }

    /** A build that has begun: its end can be waited for. */
    public final class Begun {
        public final Runner runner;
        private final ByteArrayOutputStream out = new ByteArrayOutputStream();
        private final CompletableFuture<Result> result;

        private Begun(List<String> arguments) throws Exception {
            runner = new Runner(Options.parse(arguments), new PrintStream(out, true, StandardCharsets.UTF_8));
            runner.prepare();
            result = CompletableFuture.supplyAsync(() -> {
                try {
                    return runner.run();
                } catch (Exception problem) {
                    throw new IllegalStateException(problem);
                }
            });
        }

        public Result result() throws Exception {
            return result.get(60, java.util.concurrent.TimeUnit.SECONDS);
        }

        public String console() {
            return out.toString(StandardCharsets.UTF_8);
        }

        /** Waits until the console says it. */
        public void until(String text) throws InterruptedException {
            long end = System.nanoTime() + 30_000_000_000L;
            while (!console().contains(text)) {
                if (System.nanoTime() > end || result.isDone()) {
                    throw new AssertionError("the console never says " + text + ":\n" + console());
                }
                Thread.onSpinWait();
            }
        }
    }

    public Begun begin(String... more) throws Exception {
        return new Begun(arguments(more));
    }

    /** What the command line would be. */
    public List<String> arguments(String... more) {
        List<String> arguments =
                new ArrayList<>(List.of(
                "--jenkinsfile", jenkinsfile.toString(), "--home", home.toString(), "--job", "job", "--virtual-time"));
        arguments.addAll(List.of(more));
        return arguments;
    }

    /** Asks something of the build that runs. */
    public void request(String what, String... more) throws Exception {
        List<String> arguments = new ArrayList<>(List.of("--home", home.toString(), "--job", "job", "--request", what));
        arguments.addAll(List.of(more));
        Runner.request(Options.parse(arguments));
    }
}
