package dev.slipway.runner.nodes;

import java.io.OutputStream;
import java.io.Serializable;
import java.util.Map;

/** Where steps run: this machine, or a pod. */
public interface Node extends Serializable {
    String name();

    String workspace();

    /** Starts a shell program. Its output, both streams in one, goes to out. */
    Execution start(String container, String program, String directory, Map<String, String> environment, byte[] input, OutputStream out) throws Exception;

    /** Whether it is known that nothing will ever run there again. */
    default boolean isGone() {
        return false;
    }

    /** A program that runs. */
    interface Execution {
        /** Waits for its end; the exit code. */
        int await() throws Exception;
    }
}
