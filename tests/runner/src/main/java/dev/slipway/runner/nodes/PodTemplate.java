package dev.slipway.runner.nodes;

import java.io.Serializable;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/** A template that agents are made of: one that podTemplate(...) defines for its body, or one of a cloud's own. */
public final class PodTemplate implements Serializable {
    private static final long serialVersionUID = 1;

    /** What node(...) asks for. */
    public final String label;
    public final String name;
    /** The cloud that it is for. */
    public final String cloud;
    public final String namespace;
    public final String buildUrl;
    public final String runUrl;
    /** What it says itself, and with all that it inherits: see Templates. */
    private final Map<String, Object> own;
    final Map<String, Object> whole;
    /** The template around this one, or null. */
    private final PodTemplate outer;

    private PodTemplate(String label, String name, String cloud, String namespace, String buildUrl, String runUrl, Map<String, Object> own,
            Map<String, Object> whole, PodTemplate outer) {
        this.label = label;
        this.name = name;
        this.cloud = cloud;
        this.namespace = namespace;
        this.buildUrl = buildUrl;
        this.runUrl = runUrl;
        this.own = own;
        this.whole = whole;
        this.outer = outer;
    }

    /** Where an agent's pod is to be made, and by which build; the URLs are null where nobody is to see it at the pod. */
    public record Place(String cloud, String namespace, String buildUrl, String runUrl) {}

    /**
     * Inside podTemplate(...). Unless it says itself what it inherits from, that is the template around it.
     * The cloud's own templates are found by their names.
     */
    public static PodTemplate inside(PodTemplate outer, String label, String name, Place place, Map<String, Object> own, String defaults,
            Function<String, Map<String, Object>> ofCloud) {
        if (!own.containsKey("inheritFrom") && outer != null) {
            own.put("inheritFrom", outer.name);
        }
        Function<String, Map<String, Object>> known = sought -> {
            for (PodTemplate each = outer; each != null; each = each.outer) {
                if (each.name.equals(sought) && each.cloud.equals(place.cloud())) {
                    return each.own;
                }
            }
            return ofCloud.apply(sought);
        };
        return new PodTemplate(label, name, place.cloud(), place.namespace(), place.buildUrl(), place.runUrl(), own,
                Templates.unwrapped(own, defaults, known), outer);
    }

    /** One of a cloud's own. */
    public static PodTemplate ofCloud(
            String label, Place place, Map<String, Object> own, String defaults, Function<String, Map<String, Object>> known) {
        return inside(null, label, Templates.text(own, "name"), place, own, defaults, known);
    }

    /** The template of that label, this one or one around it; null where there is none. */
    public static PodTemplate labelled(String label, PodTemplate innermost) {
        PodTemplate each = innermost;
        while (each != null && !each.label.equals(label)) {
            each = each.outer;
        }
        return each;
    }

    /** How long an agent may take until it is connected, in seconds. */
    public int connectTimeout() {
        return Templates.number(whole, "slaveConnectTimeout", Templates.CONNECT_TIMEOUT);
    }

    public boolean showsYaml() {
        return Templates.flag(whole, "showRawYaml", true);
    }

    public List<String> yamls() {
        return Templates.yamls(whole);
    }
}
