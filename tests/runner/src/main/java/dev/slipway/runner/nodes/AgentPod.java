package dev.slipway.runner.nodes;

import io.fabric8.kubernetes.api.model.Container;
import io.fabric8.kubernetes.api.model.ContainerBuilder;
import io.fabric8.kubernetes.api.model.EnvVar;
import io.fabric8.kubernetes.api.model.EnvVarBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.api.model.Quantity;
import io.fabric8.kubernetes.api.model.Volume;
import io.fabric8.kubernetes.api.model.VolumeBuilder;
import io.fabric8.kubernetes.api.model.VolumeMount;
import io.fabric8.kubernetes.api.model.VolumeMountBuilder;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** The pod of an agent as the Kubernetes plugin asks for it: the template's, with the agent's container, a workspace and labels. */
final class AgentPod {
    static final String AGENT = "jnlp";
    static final String DIRECTORY = "/home/jenkins/agent";
    private static final String VOLUME = "workspace-volume";
    private static final String SECRET = "JENKINS_SECRET";
    private static final Pattern WORD = Pattern.compile("([^\"]\\S*|\".+?\")\\s*");

    private AgentPod() {}

    static Pod of(String name, PodTemplate template, String namespace, String image, String jenkinsUrl) {
        Map<String, Object> whole = template.whole;
        Pod pod = Pods.combined(Pods.ofYaml(template.yamls(), Templates.merges(whole)), beside(whole));
        PodBuilder made = new PodBuilder(pod).editMetadata().withName(name).withNamespace(namespace).addToLabels("jenkins", "slave")
                .addToLabels("jenkins/label-digest", digest(template.label)).addToLabels("jenkins/label", template.label).endMetadata()
                .editSpec().withRestartPolicy("Never").addToNodeSelector("kubernetes.io/os", "linux")
                .addToVolumes(workspace(whole)).endSpec();
        if (template.buildUrl != null) {
            made.editMetadata().addToAnnotations("buildUrl", template.buildUrl).addToAnnotations("runUrl", template.runUrl).endMetadata();
        }
        pod = made.build();
        List<Container> containers = new ArrayList<>(pod.getSpec().getContainers());
        Container agent = containers.stream().filter(each -> each.getName().equals(AGENT)).findFirst().orElse(null);
        if (agent == null) {
            agent = new ContainerBuilder().withName(AGENT).withVolumeMounts(mounts(whole)).build();
            containers.add(agent);
        }
        complete(agent, name, image, jenkinsUrl, variables(whole));
        for (Container each : containers) {
            if (each.getVolumeMounts().stream().noneMatch(mount -> DIRECTORY.equals(mount.getMountPath()))) {
                each.getVolumeMounts().add(new VolumeMountBuilder().withName(VOLUME).withMountPath(DIRECTORY).withReadOnly(false).build());
            }
        }
        pod.getSpec().setContainers(containers);
        return pod;
    }

    /** Where it is made: the YAML's own namespace is asked first. */
    static String namespace(PodTemplate template) {
        String own = template.yamls().isEmpty() ? null
                : Pods.ofYaml(template.yamls(), Templates.merges(template.whole)).getMetadata().getNamespace();
        return own == null ? template.namespace : own;
    }

    /** What the template says beside the YAML. */
    private static Pod beside(Map<String, Object> whole) {
        Map<String, Container> containers = new HashMap<>();
        Templates.entries(whole, "containers").forEach(each -> containers.put(Templates.text(each, "name"), container(each, whole)));
        int deadline = Templates.number(whole, "activeDeadlineSeconds", 0);
        PodBuilder pod = new PodBuilder().withNewMetadata().withAnnotations(annotations(whole)).endMetadata().withNewSpec()
                .withServiceAccountName(Templates.text(whole, "serviceAccount")).withSchedulerName(Templates.text(whole, "schedulerName"))
                .withNodeSelector(nodeSelector(whole)).withContainers(new ArrayList<>(containers.values()))
                .withActiveDeadlineSeconds(deadline == 0 ? null : Long.valueOf(deadline)).endSpec();
        List<Map<String, Object>> volumes = volumes(whole);
        for (int i = 0; i < volumes.size(); i++) {
            pod.editSpec().addToVolumes(Volumes.volume("volume-" + i, volumes.get(i))).endSpec();
        }
        for (Object secret : Templates.entries(whole, "imagePullSecrets")) {
            Object given = secret instanceof Map<?, ?> map ? map.get("name") : secret;
            pod.editSpec().addNewImagePullSecret(String.valueOf(given)).endSpec();
        }
        if (whole.get("hostNetwork") != null) {
            pod.editSpec().withHostNetwork(Templates.flag(whole, "hostNetwork", false)).endSpec();
        }
        Long user = id(whole, "runAsUser");
        Long group = id(whole, "runAsGroup");
        String groups = Templates.text(whole, "supplementalGroups");
        if (user != null || group != null || groups != null) {
            pod.editSpec().withNewSecurityContext().withRunAsUser(user).withRunAsGroup(group)
                    .withSupplementalGroups(groups == null ? List.of()
                    : Stream.of(groups.split(",")).map(String::strip).map(Long::valueOf).toList()).endSecurityContext().endSpec();
        }
        return pod.build();
    }

    private static Volume workspace(Map<String, Object> whole) {
        return whole.get("workspaceVolume") instanceof Map<?, ?> ? Volumes.volume(VOLUME, Templates.entry(whole, "workspaceVolume"))
                : new VolumeBuilder().withName(VOLUME).withNewEmptyDir().withMedium("").endEmptyDir().build();
    }

    /** Of two at the same path the first. */
    private static List<Map<String, Object>> volumes(Map<String, Object> whole) {
        Map<String, Map<String, Object>> byPath = new LinkedHashMap<>();
        Templates.entries(whole, "volumes").forEach(each -> byPath.putIfAbsent(Volumes.path(each), each));
        return new ArrayList<>(byPath.values());
    }

    private static List<VolumeMount> mounts(Map<String, Object> whole) {
        List<Map<String, Object>> volumes = volumes(whole);
        return IntStream.range(0, volumes.size()).mapToObj(i -> Volumes.mount("volume-" + i, volumes.get(i))).collect(Collectors.toList());
    }

    private static Map<String, String> annotations(Map<String, Object> whole) {
        Map<String, String> all = new LinkedHashMap<>();
        Templates.entries(whole, "annotations")
                .forEach(each -> all.putIfAbsent(Templates.text(each, "key"), Templates.text(each, "value")));
        return all;
    }

    private static Map<String, String> nodeSelector(Map<String, Object> whole) {
        Map<String, String> all = new LinkedHashMap<>();
        String text = Templates.text(whole, "nodeSelector");
        for (String each : text == null ? new String[0] : text.split(",")) {
            String[] pair = each.split("=");
            if (pair.length == 2 && !pair[0].isEmpty() && !pair[1].isEmpty()) {
                all.put(pair[0], pair[1]);
            }
        }
        return all;
    }

    private static Long id(Map<String, Object> of, String name) {
        return Templates.text(of, name) == null ? null : Long.valueOf(Templates.text(of, name));
    }

    /** The variables of a template or a container; one may come from a Secret. */
    private static Map<String, EnvVar> variables(Map<String, Object> of) {
        Map<String, EnvVar> all = new LinkedHashMap<>();
        for (Map<String, Object> each : Templates.entries(of, "envVars")) {
            EnvVarBuilder made = new EnvVarBuilder().withName(Templates.text(each, "key"));
            if ("secretEnvVar".equals(each.get(Templates.KIND))) {
                made.withNewValueFrom().withNewSecretKeyRef(Templates.text(each, "secretKey"), Templates.text(each, "secretName"),
                        each.get("optional") == null ? null : Templates.flag(each, "optional", false)).endValueFrom();
            } else {
                made.withValue(Templates.text(each, "value") == null ? "" : Templates.text(each, "value"));
            }
            all.put(Templates.text(each, "key"), made.build());
        }
        return all;
    }

    /** What containerTemplate(...) says. */
    private static Container container(Map<String, Object> given, Map<String, Object> template) {
        Map<String, EnvVar> variables = variables(template);
        variables.putAll(variables(given));
        ContainerBuilder made = new ContainerBuilder().withName(Templates.text(given, "name")).withImage(Templates.text(given, "image"))
                .withImagePullPolicy(Templates.flag(given, "alwaysPullImage", false) ? "Always" : "IfNotPresent")
                .withTty(Templates.flag(given, "ttyEnabled", false)).withWorkingDir(Templates.text(given, "workingDir"))
                .withCommand(words(given, "command")).withArgs(words(given, "args"))
                .withEnv(new ArrayList<>(variables.values())).withVolumeMounts(mounts(template))
                .withNewResources().withRequests(resources(given, "Request")).withLimits(resources(given, "Limit")).endResources();
        Long user = id(given, "runAsUser");
        Long group = id(given, "runAsGroup");
        if (Templates.flag(given, "privileged", false) || user != null || group != null) {
            made.withNewSecurityContext().withPrivileged(Templates.flag(given, "privileged", false)).withRunAsUser(user)
                    .withRunAsGroup(group).endSecurityContext();
        }
        for (Map<String, Object> port : Templates.entries(given, "ports")) {
            made.addNewPort().withName(Templates.text(port, "name")).withContainerPort(Templates.number(port, "containerPort", 0))
                    .withHostPort(Templates.text(port, "hostPort") == null ? null : Integer.valueOf(Templates.text(port, "hostPort")))
                            .endPort();
        }
        return made.build();
    }

    /** Split at blanks that are not quoted. */
    private static List<String> words(Map<String, Object> given, String name) {
        String text = Templates.text(given, name);
        return text == null ? List.of() : WORD.matcher(text).results().map(word -> word.group(1).replace("\"", "")).toList();
    }

    private static Map<String, Quantity> resources(Map<String, Object> given, String kind) {
        Map<String, Quantity> all = new HashMap<>();
        Map.of("memory", "Memory", "cpu", "Cpu", "ephemeral-storage", "EphemeralStorage").forEach((name, suffix) -> {
            String value = Templates.text(given, "resource" + kind + suffix);
            if (value != null && !value.isBlank()) {
                all.put(name, new Quantity(value));
            }
        });
        return all;
    }

    /** How the agent finds its controller. The variables' order is that of a HashMap, as the plugin's is. */
    private static void complete(Container agent, String name, String image, String jenkinsUrl, Map<String, EnvVar> ofTemplate) {
        Map<String, EnvVar> variables = new HashMap<>();
        String secret = (UUID.randomUUID() + "" + UUID.randomUUID()).replace("-", "");
        for (String[] each : new String[][] {{SECRET, secret}, {"JENKINS_AGENT_NAME", name}, {"JENKINS_WEB_SOCKET", "true"},
                {"JENKINS_NAME", name}, {"JENKINS_AGENT_WORKDIR", DIRECTORY}, {"JENKINS_URL", jenkinsUrl}}) {
            variables.put(each[0], new EnvVarBuilder().withName(each[0]).withValue(each[1]).build());
        }
        variables.putAll(ofTemplate);
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
