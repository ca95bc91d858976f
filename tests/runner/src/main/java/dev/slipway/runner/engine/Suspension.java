package dev.slipway.runner.engine;

import java.io.Serializable;

/** What the program hands to the engine when it calls a step: it goes on when the step ends. */
public final class Suspension implements Serializable {
    public final String step;
    public final Object[] arguments;

    Suspension(String step, Object[] arguments) {
        this.step = step;
        this.arguments = arguments;
    }
}
