package dev.slipway.runner.nodes;

import java.io.Serializable;

/** What podTemplate says: the pod's YAML, its label, and how long an agent may take. */
public record PodTemplate(String label, String yaml, String namespace, int connectTimeout) implements Serializable {}
