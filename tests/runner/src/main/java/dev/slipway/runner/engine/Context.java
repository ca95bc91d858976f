package dev.slipway.runner.engine;

import dev.slipway.runner.nodes.Node;
import dev.slipway.runner.nodes.PodTemplate;
import java.io.Serializable;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;

/** What a step finds around it: the environment, the node, the container, the pod template, the stage. */
public final class Context implements Serializable {
    public final Map<String, String> environment;
    public final Set<String> secrets;
    public final Node node;
    public final String container;
    public final String directory;
    public final PodTemplate template;
    public final String stage;
    public final String branch;

    private Context(Map<String, String> environment, Set<String> secrets, Node node, String container, String directory, PodTemplate template, String stage, String branch) {
        this.environment = environment;
        this.secrets = secrets;
        this.node = node;
        this.container = container;
        this.directory = directory;
        this.template = template;
        this.stage = stage;
        this.branch = branch;
    }

    public static Context empty() {
        return new Context(new LinkedHashMap<>(), new LinkedHashSet<>(), null, null, null, null, null, null);
    }

    /** With more variables; a value of null or nothing after the = takes one away. */
    public Context withEnvironment(Map<String, String> more) {
        Map<String, String> all = new LinkedHashMap<>(environment);
        more.forEach((name, value) -> {
            // PATH+X=dir puts a folder in front, as Jenkins does
            int plus = name.indexOf('+');
            if (plus > 0) {
                String base = name.substring(0, plus);
                String before = all.get(base);
                all.put(base, before == null || before.isEmpty() ? value : value + ":" + before);
            } else {
                all.put(name, value);
            }
        });
        return new Context(all, secrets, node, container, directory, template, stage, branch);
    }

    public Context withSecrets(Set<String> more) {
        Set<String> all = new LinkedHashSet<>(secrets);
        all.addAll(more);
        return new Context(environment, all, node, container, directory, template, stage, branch);
    }

    public Context withNode(Node on, String workspace) {
        return new Context(environment, secrets, on, null, workspace, template, stage, branch);
    }

    public Context withContainer(String name) {
        return new Context(environment, secrets, node, name, directory, template, stage, branch);
    }

    public Context withDirectory(String dir) {
        return new Context(environment, secrets, node, container, dir, template, stage, branch);
    }

    public Context withTemplate(PodTemplate pod) {
        return new Context(environment, secrets, node, container, directory, pod, stage, branch);
    }

    public Context withStage(String name) {
        return new Context(environment, secrets, node, container, directory, template, name, branch);
    }

    public Context withBranch(String name) {
        return new Context(environment, secrets, node, container, directory, template, stage, name);
    }
}
