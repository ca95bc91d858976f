package dev.slipway.runner.engine;

/** Jenkins would answer a request with this status, and nothing happens. */
public final class Refused extends IllegalArgumentException {
    public Refused(int status, String why) {
        super("HTTP " + status + ": " + why);
    }
}
