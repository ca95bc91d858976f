package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Step;
import dev.slipway.runner.engine.Symbol;
import dev.slipway.runner.nodes.PodTemplate;
import dev.slipway.runner.nodes.Templates;
import dev.slipway.runner.site.Site;
import hudson.AbortException;
import java.io.StringReader;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.snakeyaml.engine.v2.api.Load;
import org.snakeyaml.engine.v2.api.LoadSettings;

/** podTemplate yaml: '...' { }: node(POD_LABEL) inside it makes such a pod. */
public final class PodTemplateStep extends Step {
    private static final long serialVersionUID = 1;

    /** Kubernetes allows 63 characters; a hyphen and five more follow. */
    private static final int LABEL = 57;

    @Override
    protected void start() throws Exception {
        Site.CloudOf cloud = build.site.cloud(arguments.text("cloud", false));
        Map<String, Object> given = new LinkedHashMap<>();
        arguments.named().forEach((parameter, value) -> given.put(parameter, plain(value)));
        Map<String, Object> own = Templates.of(given);
        List<String> containers = new ArrayList<>();
        if (given.get("containers") instanceof List<?> list) {
            list.forEach(each -> containers.add(String.valueOf(((Map<?, ?>) each).get("name"))));
        }
        containers.addAll(inYaml(arguments.text("yaml", false)));
        List<String> wrong = containers.stream().filter(name -> !name.isEmpty() && !name.matches("[a-z0-9]([-a-z0-9]*[a-z0-9])?")).toList();
        if (!wrong.isEmpty()) {
            throw new AbortException("Container Names MUST match RFC 1123 - They can only contain lowercase letters, numbers or dashes: "
                    + String.join(", ", wrong));
        }
        String label = arguments.text("label", false) != null ? arguments.text("label", false) : labelOfBuild() + "-" + random();
        String name = arguments.text("name", false);
        String namespace = arguments.text("namespace", false);
        if (namespace == null || namespace.isEmpty()) {
            namespace = context.template == null ? cloud.namespace() : context.template.namespace;
        }
        var place = new PodTemplate.Place(cloud.name(), namespace, build.store.url(), build.store.path());
        PodTemplate template = PodTemplate.inside(context.template, label, (name != null ? name : label) + "-" + random(), place, own,
                cloud.defaults(), cloud.templates()::get);
        boolean ownLabel = arguments.text("label", false) != null;
        runBody(ownLabel ? context.withTemplate(template) : context.withTemplate(template).withEnvironment(Map.of("POD_LABEL", label)));
    }

    /** As the plugin makes one of job and number: its last characters, which Kubernetes allows in a label. */
    private String labelOfBuild() {
        String text = build.store.fullName() + "#" + build.store.number();
        String end = text.length() > LABEL ? text.substring(text.length() - LABEL) : text;
        return end.replaceAll("[^_a-zA-Z0-9-]", "_").replaceFirst("^[^a-zA-Z0-9]", "x");
    }

    /** What is no YAML, or no pod, fails here, not at the node. Answers the names of its containers. */
    private static List<String> inYaml(String yaml) {
        if (yaml == null) {
            return List.of();
        }
        Object pod = new Load(LoadSettings.builder().build()).loadFromReader(new StringReader(yaml));
        if (pod != null && !(pod instanceof Map)) {
            throw new RuntimeException("Failed to parse yaml: \"" + yaml + "\"");
        }
        List<String> names = new ArrayList<>();
        if (pod instanceof Map<?, ?> map && map.get("spec") instanceof Map<?, ?> spec
                && spec.get("containers") instanceof List<?> containers) {
            containers.forEach(each -> {
                if (each instanceof Map<?, ?> container && container.get("name") != null) {
                    names.add(String.valueOf(container.get("name")));
                }
            });
        }
        return names;
    }

    /** With the kind of each emptyDirVolume(...) and its like beside its values. */
    private static Object plain(Object value) {
        if (value instanceof List<?> list) {
            List<Object> copy = new ArrayList<>();
            list.forEach(each -> copy.add(plain(each)));
            return copy;
        }
        if (value instanceof Symbol symbol) {
            Map<String, Object> copy = new LinkedHashMap<>();
            symbol.forEach((key, each) -> copy.put(key, plain(each)));
            copy.put(Templates.KIND, symbol.symbol);
            return copy;
        }
        return value;
    }

    private static String random() {
        return UUID.randomUUID().toString().substring(0, 5);
    }
}
