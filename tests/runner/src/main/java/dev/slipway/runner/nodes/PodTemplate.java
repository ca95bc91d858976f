package dev.slipway.runner.nodes;

import java.io.Serializable;

/** What podTemplate says: the pod's YAML, its label, and how long an agent may take, in seconds; and which build asks. */
public final class PodTemplate implements Serializable {
    private static final long serialVersionUID = 1;

    private final String label;
    private final String yaml;
    private final String namespace;
    private final String cloud;
    private final int connectTimeout;
    private final String buildUrl;
    private final String runUrl;

    public PodTemplate(String label, String yaml, String namespace, String cloud, int connectTimeout, String buildUrl, String runUrl) {
        this.label = label;
        this.yaml = yaml;
        this.namespace = namespace;
        this.cloud = cloud;
        this.connectTimeout = connectTimeout;
        this.buildUrl = buildUrl;
        this.runUrl = runUrl;
    }

    public String label() {
        return label;
    }

    public String yaml() {
        return yaml;
    }

    public String namespace() {
        return namespace;
    }

    public String cloud() {
        return cloud;
    }

    public int connectTimeout() {
        return connectTimeout;
    }

    public String buildUrl() {
        return buildUrl;
    }

    public String runUrl() {
        return runUrl;
    }
}
