package dev.slipway.runner.nodes;

import io.fabric8.kubernetes.api.model.Container;
import io.fabric8.kubernetes.api.model.ContainerBuilder;
import io.fabric8.kubernetes.api.model.EnvVar;
import io.fabric8.kubernetes.api.model.EnvVarBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.api.model.Quantity;
import io.fabric8.kubernetes.api.model.VolumeMountBuilder;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.UUID;

/** The pod of an agent as the Kubernetes plugin asks for it: the template's, with the agent's container, a workspace and labels. */
final class AgentPod {
    static final String AGENT = "jnlp";
    static final String DIRECTORY = "/home/jenkins/agent";
    private static final String VOLUME = "workspace-volume";
    private static final String SECRET = "JENKINS_SECRET";

    private AgentPod() {}

    static Pod of(String name, PodTemplate template, String namespace, String image, String jenkinsUrl) {
        boolean plain = template.yaml == null || template.yaml.isBlank();
        Pod pod = new PodBuilder(plain ? new Pod() : Serialization.unmarshal(template.yaml, Pod.class))
                .editOrNewMetadata().withName(name).withNamespace(namespace)
                .addToLabels("jenkins", "slave").addToLabels("jenkins/label-digest", digest(template.label)).addToLabels("jenkins/label", template.label)
                .addToAnnotations("buildUrl", template.buildUrl).addToAnnotations("runUrl", template.runUrl).endMetadata()
                .editOrNewSpec().withRestartPolicy("Never").addToNodeSelector("kubernetes.io/os", "linux")
                .addNewVolume().withName(VOLUME).withNewEmptyDir().withMedium("").endEmptyDir().endVolume().endSpec()
                .build();
        if (template.serviceAccount != null) {
            pod.getSpec().setServiceAccountName(template.serviceAccount);
        }
        List<Container> containers = new ArrayList<>(pod.getSpec().getContainers());
        template.containers.forEach(given -> containers.add(container(given)));
        Container agent = containers.stream().filter(each -> each.getName().equals(AGENT)).findFirst().orElse(null);
        if (agent == null) {
            agent = new ContainerBuilder().withName(AGENT).build();
            containers.add(agent);
        }
        complete(agent, name, image, jenkinsUrl);
        for (Container each : containers) {
            if (each.getVolumeMounts().stream().noneMatch(mount -> DIRECTORY.equals(mount.getMountPath()))) {
                each.getVolumeMounts().add(new VolumeMountBuilder().withName(VOLUME).withMountPath(DIRECTORY).withReadOnly(false).build());
            }
        }
        pod.getSpec().setContainers(containers);
        return pod;
    }

    /** What containerTemplate(...) says. */
    private static Container container(Map<String, Object> given) {
        ContainerBuilder made = new ContainerBuilder().withName(text(given, "name")).withImage(text(given, "image"))
                .withImagePullPolicy(Boolean.parseBoolean(text(given, "alwaysPullImage")) ? "Always" : "IfNotPresent")
                .withTty(Boolean.parseBoolean(text(given, "ttyEnabled"))).withNewResources().endResources();
        if (text(given, "command") != null) {
            made.withCommand(text(given, "command").split(" "));
        }
        if (text(given, "args") != null) {
            made.withArgs(text(given, "args").split(" "));
        }
        return made.build();
    }

    private static String text(Map<String, Object> given, String key) {
        return given.get(key) == null ? null : String.valueOf(given.get(key));
    }

    /** How the agent finds its controller. The variables' order is that of a HashMap, as the plugin's is. */
    private static void complete(Container agent, String name, String image, String jenkinsUrl) {
        Map<String, EnvVar> variables = new HashMap<>();
        String secret = (UUID.randomUUID() + "" + UUID.randomUUID()).replace("-", "");
        for (String[] each : new String[][] {{SECRET, secret}, {"JENKINS_AGENT_NAME", name}, {"JENKINS_WEB_SOCKET", "true"}, {"JENKINS_NAME", name}, {"JENKINS_AGENT_WORKDIR", DIRECTORY}, {"JENKINS_URL", jenkinsUrl}}) {
            variables.put(each[0], new EnvVarBuilder().withName(each[0]).withValue(each[1]).build());
        }
        agent.getEnv().forEach(own -> variables.put(own.getName(), own));
        agent.setEnv(new ArrayList<>(variables.values()));
        if (agent.getImage() == null || agent.getImage().isBlank()) {
            agent.setImage(image);
        }
        if (agent.getResources() == null) {
            Map<String, Quantity> requests = new HashMap<>();
            requests.put("cpu", new Quantity("100m"));
            requests.put("memory", new Quantity("256Mi"));
            agent.setResources(new ContainerBuilder().withNewResources().withRequests(requests).endResources().build().getResources());
        }
    }

    private static String digest(String label) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-1").digest(label.getBytes(StandardCharsets.UTF_8)));
        } catch (NoSuchAlgorithmException none) {
            throw new IllegalStateException("Java has SHA-1", none);
        }
    }

    /** As the console shows it: without the agent's secret. */
    static String shown(Pod pod) {
        Pod copy = Serialization.clone(pod);
        for (Container each : copy.getSpec().getContainers()) {
            each.getEnv().stream().filter(variable -> variable.getName().equals(SECRET)).forEach(variable -> variable.setValue("********"));
        }
        return Serialization.asYaml(copy);
    }
}
