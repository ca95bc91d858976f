package dev.slipway.runner.nodes;

import java.io.IOException;
import java.nio.file.Path;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;

/**
 * Stands in for a cluster where only the Groovy of a pipeline is tested: a pod
 * is a folder of this machine, each of its containers is this machine itself.
 */
public final class LocalCloud implements Cloud {
    private final Path folder;
    private final String path;

    /** The path is put in front of PATH, so that recorded helpers can be found first; null for none. */
    public LocalCloud(Path folder, String path) {
        this.folder = folder;
        this.path = path;
    }

    @Override
    public String name(PodTemplate template) {
        return template.name + "-" + UUID.randomUUID().toString().substring(0, 5);
    }

    @Override
    public void create(String name, PodTemplate template, Consumer<String> log) {}

    @Override
    public Node await(String name, PodTemplate template, String job, Consumer<String> log,
            CompletableFuture<Void> stop) throws IOException {
        return new LocalNode(name, folder.resolve("pods").resolve(name).resolve("workspace").resolve(job), path, true);
    }

    @Override
    public AutoCloseable follow(Node node, Consumer<String> log, Runnable lost) {
        return () -> {};
    }

    @Override
    public void delete(String name, PodTemplate template) {}
}
