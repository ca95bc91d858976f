package dev.slipway.runner.nodes;

import java.io.OutputStream;
import java.io.Serializable;
import java.util.Map;

/** Where steps run: this machine, or a pod. */
public interface Node extends Serializable {
    String name();

    String workspace();

    /** Starts a shell program. Its output, both streams in one, goes to out. */
    Execution start(Place place, String program, Map<String, String> environment, byte[] input, OutputStream out) throws Exception;

    /** The variables of the agent's own process that a pipeline sees in env. */
    default Map<String, String> environment() {
        return Map.of();
    }

    /** Whether it is known that nothing will ever run there again. */
    default boolean isGone() {
        return false;
    }

    /** Whether its containers are others than the agent's own: what is started there is started from outside. */
    default boolean hasContainers() {
        return false;
    }

    /** Whether its files are this machine's: they are read without a program of their own. */
    default boolean isHere() {
        return false;
    }

    /** A program that runs. */
    interface Execution {
        /** Waits for its end; the exit code. */
        int await() throws Exception;
    }

    /** The container has no such shell. */
    final class NotStarted extends Exception {
        NotStarted(String message) {
            super(message);
        }
    }

    /** Answered with a no; the cause is what a step ends with. */
    final class Refused extends Exception {
        /**
         * So often in a row, a second apart, it has to be said: a pod that has just ended and an API server that has just started refuse,
         * too.
         */
        public final int times;

        Refused(Exception why, int times) {
            super(why);
            this.times = times;
        }

        public Exception why() {
            return (Exception) getCause();
        }
    }
}
