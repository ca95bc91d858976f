package dev.slipway.runner.nodes;

import java.io.Serializable;
import java.util.List;
import java.util.Map;

/** What podTemplate says, and which build says it. */
public final class PodTemplate implements Serializable {
    private static final long serialVersionUID = 1;

    /** What node(...) asks for; the template's own name begins with it. */
    public final String label;
    public final String name;
    public final String yaml;
    /** The cloud that it is for. */
    public final String cloud;
    public final String namespace;
    public final String serviceAccount;
    /** By containerTemplate(...), beside those of the YAML. */
    public final List<Map<String, Object>> containers;
    public final boolean showsYaml;
    /** How long an agent may take until it is connected, in seconds. */
    public final int connectTimeout;
    public final String buildUrl;
    public final String runUrl;
    /** The template around this one, or null. */
    private final PodTemplate outer;

    public PodTemplate(String label, String name, String yaml, String cloud, String namespace, String serviceAccount, List<Map<String, Object>> containers, boolean showsYaml, int connectTimeout,
            String buildUrl, String runUrl, PodTemplate outer) {
        this.label = label;
        this.name = name;
        this.yaml = yaml;
        this.cloud = cloud;
        this.namespace = namespace;
        this.serviceAccount = serviceAccount;
        this.containers = containers;
        this.showsYaml = showsYaml;
        this.connectTimeout = connectTimeout;
        this.buildUrl = buildUrl;
        this.runUrl = runUrl;
        this.outer = outer;
    }

    /** The template of that label, this one or one around it; null where there is none. */
    public static PodTemplate labelled(String label, PodTemplate innermost) {
        PodTemplate each = innermost;
        while (each != null && !each.label.equals(label)) {
            each = each.outer;
        }
        return each;
    }
}
