package dev.slipway.runner.steps;

import com.cloudbees.groovy.cps.Outcome;
import dev.slipway.runner.engine.Step;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** lock resource { }: held against every other build of this home, by a lock on a file. */
public final class Lock extends Step {
    private transient volatile FileChannel channel;
    private transient volatile boolean given;

    @Override
    protected void start() throws Exception {
        String resource = arguments.required("resource");
        Path file = build.store.directory().getParent().getParent().getParent().resolve("locks").resolve(resource.replaceAll("[^A-Za-z0-9._-]", "_"));
        Files.createDirectories(file.getParent());
        build.console.line("Trying to acquire lock on [Resource: " + resource + "]");
        channel = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        build.begin();
        build.workers.submit(() -> {
            try {
                FileLock held = channel.lock();
                build.post(() -> {
                    build.ended();
                    if (given) {
                        return;
                    }
                    build.console.line("Lock acquired on [Resource: " + resource + "]");
                    runBody(context);
                });
                return held;
            } catch (Exception closed) {
                build.post(build::ended);
                return null;
            }
        });
    }

    @Override
    protected void closed(Outcome outcome) {
        given = true;
        try {
            channel.close();
        } catch (java.io.IOException ended) {
            // The lock goes with the process in any case.
        }
    }
}
