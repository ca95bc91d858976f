package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Step;
import dev.slipway.runner.nodes.PodTemplate;
import java.util.Map;
import java.util.UUID;

/** podTemplate yaml: '...' { }: node(POD_LABEL) inside it makes such a pod. */
public final class PodTemplateStep extends Step {
    private static final long serialVersionUID = 1;

    @Override
    protected void start() {
        String given = arguments.text("label", false);
        String label = given != null ? given : build.store.job().toLowerCase().replaceAll("[^a-z0-9-]+", "-") + "-" + build.store.number() + "-" + UUID.randomUUID().toString().substring(0, 5);
        PodTemplate template = new PodTemplate(label, arguments.text("yaml", false), arguments.text("namespace", false), arguments.text("cloud", false), (int) arguments.number("slaveConnectTimeout", false, 1000),
                build.store.url(), "job/" + build.store.job() + "/" + build.store.number() + "/");
        runBody(context.withTemplate(template).withEnvironment(Map.of("POD_LABEL", label)));
    }
}
