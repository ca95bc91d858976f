package dev.slipway.runner.engine;

import java.io.Serializable;

/** What the program hands to the engine when it calls a step: it goes on when the step ends. */
record Suspension(String step, Object[] arguments) implements Serializable {}
