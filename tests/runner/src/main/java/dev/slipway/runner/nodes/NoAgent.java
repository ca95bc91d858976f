package dev.slipway.runner.nodes;

/** An agent could not be had; the message is what the console says of it. */
public final class NoAgent extends Exception {
    /** Whether another one is tried; else whoever waits for it is told that it is cancelled. */
    public final boolean again;

    NoAgent(boolean again, String message) {
        super(message);
        this.again = again;
    }
}
