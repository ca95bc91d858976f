package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Step;
import dev.slipway.runner.nodes.PodTemplate;
import dev.slipway.runner.site.Site;
import java.io.StringReader;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.snakeyaml.engine.v2.api.Load;
import org.snakeyaml.engine.v2.api.LoadSettings;

/** podTemplate yaml: '...' { }: node(POD_LABEL) inside it makes such a pod. */
public final class PodTemplateStep extends Step {
    private static final long serialVersionUID = 1;

    @Override
    @SuppressWarnings("unchecked")
    protected void start() throws Exception {
        Site.CloudOf cloud = build.site.cloud(arguments.text("cloud", false));
        String yaml = arguments.text("yaml", false);
        if (yaml != null) {
            // What is no YAML, or no pod, fails here, not at the node.
            Object pod = new Load(LoadSettings.builder().build()).loadFromReader(new StringReader(yaml));
            if (pod != null && !(pod instanceof Map)) {
                throw new RuntimeException("Failed to parse yaml: \"" + yaml + "\"");
            }
        }
        String own = arguments.text("label", false);
        String label = own != null ? own : build.store.job().replaceAll("[^A-Za-z0-9._-]+", "_") + "_" + build.store.number() + "-"
                + random();
        String name = arguments.text("name", false);
        String namespace = arguments.text("namespace", false);
        List<Map<String, Object>> containers = arguments.named().get("containers") instanceof List<?> given ? (List<Map<String,
                Object>>) given : new ArrayList<>();
        PodTemplate template = new PodTemplate(label, (name != null ? name : label) + "-" + random(), yaml, cloud.name(),
                namespace == null ? cloud.namespace() : namespace, arguments.text("serviceAccount", false), containers,
                arguments.flag("showRawYaml", true), (int) arguments.number("slaveConnectTimeout", false, 1000),
                build.store.url(), "job/" + build.store.job() + "/" + build.store.number() + "/", context.template);
        runBody(own != null ? context.withTemplate(template) : context.withTemplate(template).withEnvironment(Map.of("POD_LABEL", label)));
    }

    private static String random() {
        return UUID.randomUUID().toString().substring(0, 5);
    }
}
