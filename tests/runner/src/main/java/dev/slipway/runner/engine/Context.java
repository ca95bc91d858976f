package dev.slipway.runner.engine;

import dev.slipway.runner.nodes.Node;
import dev.slipway.runner.nodes.Place;
import dev.slipway.runner.nodes.PodTemplate;
import java.io.Serializable;
import java.util.LinkedHashMap;
import java.util.Map;

/** What a step finds around it: the environment, the node, the container, the pod template, the stage. */
public final class Context implements Serializable {
    private static final long serialVersionUID = 1;

    /** Values are text, a CredentialValue, or null for a variable that is taken away. */
    public final Map<String, Object> environment;
    public final Node node;
    private final String container;
    private final String shell;
    public final String directory;
    public final PodTemplate template;
    public final String stage;
    public final String branch;

    private Context(Map<String, Object> environment, Node node, String container, String shell, String directory, PodTemplate template,
            String stage, String branch) {
        this.environment = environment;
        this.node = node;
        this.container = container;
        this.shell = shell;
        this.directory = directory;
        this.template = template;
        this.stage = stage;
        this.branch = branch;
    }

    public static Context empty() {
        return new Context(new LinkedHashMap<>(), null, null, "sh", null, null, null, null);
    }

    /** With more variables; a value of null or nothing after the = takes one away. */
    public Context withEnvironment(Map<String, ?> more) {
        Map<String, Object> all = new LinkedHashMap<>(environment);
        more.forEach((key, value) -> {
            // PATH+X=dir puts a folder in front, as Jenkins does
            int plus = key.indexOf('+');
            if (plus > 0) {
                String base = key.substring(0, plus);
                Object before = all.get(base);
                // Where it is the node's own, the node puts the two together.
                all.put(before == null ? key : base, before == null ? value : before.equals("") ? value : value + ":" + before);
            } else {
                all.put(key, value);
            }
        });
        return new Context(all, node, container, shell, directory, template, stage, branch);
    }

    public Context withNode(Node on, String workspace) {
        return new Context(environment, on, null, "sh", workspace, template, stage, branch);
    }

    /** Where programs run: in the container around the step, if there is one. */
    public Place place() {
        return new Place(container, shell, directory);
    }

    /** Where the agent itself works, whatever container is around the step. */
    public Place agent() {
        return Place.agent(directory);
    }

    public boolean isInContainer() {
        return container != null;
    }

    /** The shell is what programs are started by there. */
    public Context withContainer(String name, String by) {
        return new Context(environment, node, name, by, directory, template, stage, branch);
    }

    public Context withDirectory(String dir) {
        return new Context(environment, node, container, shell, dir, template, stage, branch);
    }

    public Context withTemplate(PodTemplate pod) {
        return new Context(environment, node, container, shell, directory, pod, stage, branch);
    }

    public Context withStage(String name) {
        return new Context(environment, node, container, shell, directory, template, name, branch);
    }

    public Context withBranch(String name) {
        return new Context(environment, node, container, shell, directory, template, stage, name);
    }
}
