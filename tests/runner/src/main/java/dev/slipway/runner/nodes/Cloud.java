package dev.slipway.runner.nodes;

import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;

/** Where agents are had on demand, by a template. The log is the build's console. */
public interface Cloud {
    /** The name that a new agent is to have. */
    String name(PodTemplate template);

    /** Asks for it; whether one of that name was there already does not matter. */
    void create(String name, PodTemplate template, Consumer<String> log) throws NoAgent;

    /** Waits until it is connected; null if it was told to stop waiting. */
    Node await(String name, PodTemplate template, String job, Consumer<String> log, CompletableFuture<Void> stop) throws Exception;

    /** Tells when a connected agent is lost, and in the log why; until it is closed. */
    AutoCloseable follow(Node node, Consumer<String> log, Runnable lost);

    void delete(String name, PodTemplate template);
}
