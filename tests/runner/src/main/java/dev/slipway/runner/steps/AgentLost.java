package dev.slipway.runner.steps;

import hudson.AbortException;

/** The agent was lost, or could not be had: what retry with kubernetesAgent() tries again. */
public final class AgentLost extends AbortException {
    public AgentLost(String message) {
        super(message);
    }
}
