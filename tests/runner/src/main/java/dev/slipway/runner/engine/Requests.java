package dev.slipway.runner.engine;

import dev.slipway.runner.site.People;
import hudson.model.Result;
import java.io.IOException;
import java.nio.file.ClosedWatchServiceException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.StandardWatchEventKinds;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.stream.Stream;
import jenkins.model.CauseOfInterruption;
import org.jenkinsci.plugins.workflow.cps.CpsThread;

/**
 * What others ask of a build: files in its folder requests, each a line of
 * words and then NAME=VALUE lines. Another build, a person at a terminal and a
 * test ask in the same way, whichever process the build runs in.
 */
public final class Requests {
    /**
     * How an approval may be answered: the page's form with all its fields, a form or JSON with only those given, the link without a form.
     */
    static final List<String> ANSWERS = List.of("proceed", "submit", "wfapi-proceed", "proceedEmpty", "abort");

    private Requests() {}

    /** A step that a request may be for. */
    public interface Asked {
        /** Whether the request was for this step; it may be refused. */
        boolean asked(String what, String about, String user, Map<String, String> values) throws Refused;
    }

    /** Asks the build of this folder. */
    public static void send(Path build, String line, Map<String, String> values) throws IOException {
        Path folder = Files.createDirectories(build.resolve("requests"));
        StringBuilder text = new StringBuilder(line).append('\n');
        values.forEach((name, value) -> text.append(name).append('=').append(value).append('\n'));
        String name = String.format("%020d-%s", System.nanoTime(), UUID.randomUUID());
        Path next = folder.resolve("." + name);
        Files.writeString(next, text);
        Files.move(next, folder.resolve(name), StandardCopyOption.ATOMIC_MOVE);
    }

    /** Carries out what is asked, from now on until the build ends. */
    static AutoCloseable watch(Build build) throws IOException {
        Path folder = Files.createDirectories(build.store.directory().resolve("requests"));
        var watcher = folder.getFileSystem().newWatchService();
        folder.register(watcher, StandardWatchEventKinds.ENTRY_CREATE);
        Thread thread = new Thread(() -> {
            try {
                while (true) {
                    read(build, folder);
                    var key = watcher.take();
                    key.pollEvents();
                    key.reset();
                }
            } catch (ClosedWatchServiceException | InterruptedException ended) {
                // The build has ended.
            } catch (IOException lost) {
                build.post(() -> build.console.line("runner: requests cannot be read: " + lost));
            }
        });
        thread.setDaemon(true);
        thread.start();
        return watcher;
    }

    private static void read(Build build, Path folder) throws IOException {
        List<Path> files;
        try (Stream<Path> all = Files.list(folder)) {
            files = all.filter(file -> !file.getFileName().toString().startsWith(".")).sorted().toList();
        }
        for (Path file : files) {
            List<String> lines = Files.readAllLines(file);
            Files.delete(file);
            Map<String, String> values = new LinkedHashMap<>();
            lines.stream().skip(1).forEach(line -> values.put(line.substring(0, line.indexOf('=')), line.substring(line.indexOf('=') + 1)));
            build.post(() -> {
                try {
                    carryOut(build, lines.get(0).split(" ", 4), values);
                } catch (Refused no) {
                    note(build, lines.get(0) + ": " + no.getMessage());
                }
            });
        }
    }

    /** As in Jenkins the console does not tell what somebody was not allowed to do. */
    private static void note(Build build, String refusal) {
        try {
            Files.writeString(build.store.directory().resolve("refused"), refusal + "\n", StandardOpenOption.CREATE,
                    StandardOpenOption.APPEND);
        } catch (IOException lost) {
            build.console.line("runner: a refused request cannot be noted: " + lost.getMessage());
        }
    }

    private static void carryOut(Build build, String[] words, Map<String, String> values) {
        switch (words[0]) {
            case "stop" -> {
                if (!build.site.people.may(words[1], People.CANCEL)) {
                    throw new Refused(403, words[1] + " may not cancel builds of " + build.store.job());
                }
                build.abortNow(words[1]);
            }
            case "release-clock" -> build.releaseClock();
            case "superseded" -> build.stop("Superseded by " + words[1], Result.NOT_BUILT,
                    new CauseOfInterruption.CancelledCause(words[1]));
            default -> {
                for (CpsThread thread : build.program().threads()) {
                    if (thread.running() instanceof Asked step && step.asked(words[0], words[1], words[2], values)) {
                        return;
                    }
                }
                build.console.line("runner: nothing waits for \"" + String.join(" ", words) + "\"");
            }
        }
    }
}
