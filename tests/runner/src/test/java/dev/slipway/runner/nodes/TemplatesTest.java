package dev.slipway.runner.nodes;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.fabric8.kubernetes.api.model.Container;
import io.fabric8.kubernetes.api.model.Pod;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/**
 * What a template inherits, by what the Kubernetes plugin documents: containers, volumes and variables by their names, YAML by its
 * strategy.
 */
class TemplatesTest {
    private final Map<String, Map<String, Object>> known = new LinkedHashMap<>();

    private void known(String name, Map<String, ?> given) {
        Map<String, Object> template = new LinkedHashMap<>(given);
        template.put("name", name);
        known.put(name, Templates.of(template));
    }

    private PodTemplate template(Map<String, ?> given, String defaults, PodTemplate outer) {
        return PodTemplate.inside(outer, "label", "own", new PodTemplate.Place("kubernetes", "ci", "http://HOST/", "job/1/"),
                Templates.of(given), defaults, known::get);
    }

    private Pod pod(Map<String, ?> given) {
        return pod(template(given, null, null));
    }

    private static Pod pod(PodTemplate template) {
        return AgentPod.of("POD", template, AgentPod.namespace(template), "agent:1", "http://HOST/");
    }

    private static Container container(Pod pod, String name) {
        return pod.getSpec().getContainers().stream().filter(each -> each.getName().equals(name)).findFirst().orElse(null);
    }

    private static Map<String, String> variables(Container of) {
        Map<String, String> all = new LinkedHashMap<>();
        of.getEnv().forEach(each -> all.put(each.getName(), each.getValue()));
        return all;
    }

    private static Map<String, Object> tool(String image, Map<String, ?> more) {
        Map<String, Object> all = new LinkedHashMap<>(more);
        all.put("name", "tool");
        all.put("image", image);
        return all;
    }

    private static Map<String, Object> variable(String key, String value) {
        return Map.of("key", key, "value", value);
    }

    private static String yaml(String container, String image) {
        return "spec:\n  containers:\n  - name: " + container + "\n    image: " + image + "\n";
    }

    @Test
    void aContainerOfTheSameNameTakesWhatItDoesNotSay() {
        known("base", Map.of("containers", List.of(tool("tool:1", Map.of("command", "sleep", "args", "\"in finity\" x", "ttyEnabled", true,
                "resourceRequestCpu", "100m", "envVars", List.of(variable("A", "base"), variable("B", "base")))),
                        Map.of("name", "more", "image", "more:1"))));
        Pod pod = pod(Map.of(
                "inheritFrom", "base", "containers", List.of(tool("tool:2", Map.of("envVars", List.of(variable("A", "own")))))));
        Container tool = container(pod, "tool");
        assertEquals("tool:2", tool.getImage());
        assertEquals(List.of("sleep"), tool.getCommand());
        assertEquals(List.of("in finity", "x"), tool.getArgs());
        assertTrue(tool.getTty());
        assertEquals("100m", tool.getResources().getRequests().get("cpu").toString());
        assertEquals(Map.of("A", "own", "B", "base"), variables(tool));
        assertEquals("more:1", container(pod, "more").getImage());
        assertEquals("agent:1", container(pod, "jnlp").getImage());
    }

    @Test
    void ofSeveralParentsTheLaterWins() {
        known("one", Map.of("serviceAccount", "first", "nodeSelector", "disk=ssd,zone=a", "containers", List.of(tool("tool:1", Map.of()))));
        known("two", Map.of("serviceAccount", "second", "containers", List.of(tool("tool:2", Map.of("command", "cat")))));
        Pod pod = pod(Map.of("inheritFrom", "one  two none"));
        assertEquals("second", pod.getSpec().getServiceAccountName());
        assertEquals("ssd", pod.getSpec().getNodeSelector().get("disk"));
        assertEquals("tool:2", container(pod, "tool").getImage());
        assertEquals(List.of("cat"), container(pod, "tool").getCommand());
        assertEquals("own", pod(Map.of("inheritFrom", "one two", "serviceAccount", "own")).getSpec().getServiceAccountName());
    }

    @Test
    void aParentHasParentsOfItsOwn() {
        known("root", Map.of("serviceAccount", "root", "envVars", List.of(variable("A", "root"), variable("B", "root"))));
        known("middle", Map.of("inheritFrom", "root", "envVars", List.of(variable("A", "middle"))));
        known("circle", Map.of("inheritFrom", "circle", "serviceAccount", "circle"));
        Pod pod = pod(Map.of("inheritFrom", "middle"));
        assertEquals("root", pod.getSpec().getServiceAccountName());
        assertEquals("middle", variables(container(pod, "jnlp")).get("A"));
        assertEquals("root", variables(container(pod, "jnlp")).get("B"));
        assertEquals("circle", pod(Map.of("inheritFrom", "circle")).getSpec().getServiceAccountName());
        assertNull(pod(Map.of("inheritFrom", "nobody")).getSpec().getServiceAccountName());
    }

    @Test
    void volumesAreByTheirPath() {
        known("base", Map.of("volumes", List.of(Map.of("kind", "emptyDirVolume", "mountPath", "/cache", "memory", true),
                Map.of("kind", "secretVolume", "mountPath", "/keys", "secretName", "base"))));
        Pod pod = pod(Map.of(
                "inheritFrom", "base", "volumes", List.of(Map.of("kind", "configMapVolume", "mountPath", "/keys", "configMapName", "own")),
                "containers", List.of(tool("tool:1", Map.of()))));
        Map<String, String> paths = new LinkedHashMap<>();
        container(pod, "tool").getVolumeMounts().forEach(each -> paths.put(each.getMountPath(), each.getName()));
        assertEquals(paths, new LinkedHashMap<>(paths) {{
            container(pod, "jnlp").getVolumeMounts().forEach(each -> put(each.getMountPath(), each.getName()));
        }});
        assertEquals(java.util.Set.of("/cache", "/keys", AgentPod.DIRECTORY), paths.keySet());
        pod.getSpec().getVolumes().forEach(each -> {
            if (each.getName().equals(paths.get("/keys"))) {
                assertEquals("own", each.getConfigMap().getName());
            } else if (each.getName().equals(paths.get("/cache"))) {
                assertEquals("Memory", each.getEmptyDir().getMedium());
            }
        });
    }

    @Test
    void theLastYamlCountsAloneUnlessItIsMerged() {
        known("base", Map.of("yaml", yaml("base", "base:1")));
        assertNull(container(pod(Map.of("inheritFrom", "base", "yaml", yaml("own", "own:1"))), "base"));
        assertEquals("base:1", container(pod(Map.of("inheritFrom", "base")), "base").getImage());
        Pod both = pod(Map.of("inheritFrom", "base", "yaml", yaml("own", "own:1"), "yamlMergeStrategy", Map.of("kind", "merge")));
        assertEquals("base:1", container(both, "base").getImage());
        assertEquals("own:1", container(both, "own").getImage());
        Pod same = pod(Map.of(
                "inheritFrom", "base", "yaml", yaml("base", "base:2") + "    command: [cat]\n", "yamlMergeStrategy", "merge"));
        assertEquals("base:2", container(same, "base").getImage());
        assertEquals(List.of("cat"), container(same, "base").getCommand());
    }

    @Test
    void aParentMayHandDownItsStrategy() {
        known("base", Map.of("yaml", yaml("base", "base:1"), "yamlMergeStrategy", "merge", "inheritYamlMergeStrategy", true));
        assertEquals("base:1", container(pod(Map.of("inheritFrom", "base", "yaml", yaml("own", "own:1"))), "base").getImage());
        assertNull(container(pod(Map.of("inheritFrom", "base", "yaml", yaml("own", "own:1"), "yamlMergeStrategy", "override")), "base"));
    }

    @Test
    void whatIsSaidBesideTheYamlWinsOverIt() {
        Pod pod = pod(Map.of(
                "yaml", yaml("tool", "yaml:1") + "  serviceAccountName: yaml\nmetadata:\n  namespace: elsewhere\n", "serviceAccount", "own",
                "containers", List.of(tool("tool:1", Map.of()))));
        assertEquals("own", pod.getSpec().getServiceAccountName());
        assertEquals("tool:1", container(pod, "tool").getImage());
        assertEquals("elsewhere", pod.getMetadata().getNamespace());
    }

    @Test
    void theTemplateAroundIsInheritedUnlessAnotherIsNamed() {
        PodTemplate outer = template(
                new LinkedHashMap<>(Map.of("serviceAccount", "outer", "containers", List.of(tool("tool:1", Map.of())))), null, null);
        assertEquals("tool:1", container(pod(template(new LinkedHashMap<>(), null, outer)), "tool").getImage());
        assertNull(container(pod(template(Map.of("inheritFrom", ""), null, outer)), "tool"));
        known("base", Map.of("serviceAccount", "base"));
        PodTemplate inner = template(Map.of("inheritFrom", "base"), null, outer);
        assertNull(container(pod(inner), "tool"));
        assertEquals("base", pod(inner).getSpec().getServiceAccountName());
    }

    @Test
    void theCloudsDefaultsAreBelowEverything() {
        known("defaults", Map.of("serviceAccount", "defaults", "slaveConnectTimeout", 90, "showRawYaml", false));
        known("base", Map.of("serviceAccount", "base"));
        PodTemplate template = template(new LinkedHashMap<>(Map.of("inheritFrom", "base")), "defaults", null);
        assertEquals("base", pod(template).getSpec().getServiceAccountName());
        assertEquals(90, template.connectTimeout());
        assertEquals(1000, template(Map.of(), null, null).connectTimeout());
        assertEquals(false, template.showsYaml());
        assertEquals(10, template(Map.of("slaveConnectTimeout", 10), "defaults", null).connectTimeout());
    }

    @Test
    void whatTheYamlHidesIsLost() {
        Map<String, Object> given = Map.of("activeDeadlineSeconds", 30, "supplementalGroups", "1");
        assertEquals(30L, pod(given).getSpec().getActiveDeadlineSeconds());
        Map<String, Object> beside = new LinkedHashMap<>(given);
        beside.put("yaml", yaml("tool", "tool:1"));
        assertNull(pod(beside).getSpec().getActiveDeadlineSeconds());
        assertNull(pod(beside).getSpec().getSecurityContext().getRunAsUser());
        assertEquals(List.of(), pod(beside).getSpec().getSecurityContext().getSupplementalGroups());
    }

    @Test
    void secretsAnnotationsAndGroupsAreAllThere() {
        known("base", Map.of(
                "annotations", new ArrayList<>(List.of(variable("a", "base"), variable("b", "base"))), "imagePullSecrets",
                List.of("base")));
        Pod pod = pod(Map.of(
                "inheritFrom", "base", "annotations", List.of(variable("a", "own")), "imagePullSecrets", List.of("own"), "runAsUser",
                "1000",
                "supplementalGroups", "1,2", "hostNetwork", true, "envVars",
                        List.of(Map.of("kind", "secretEnvVar", "key", "K", "secretName", "s", "secretKey", "k"))));
        assertEquals("own", pod.getMetadata().getAnnotations().get("a"));
        assertEquals("base", pod.getMetadata().getAnnotations().get("b"));
        assertEquals(List.of("own", "base"), pod.getSpec().getImagePullSecrets().stream().map(each -> each.getName()).toList());
        assertEquals(1000L, pod.getSpec().getSecurityContext().getRunAsUser());
        assertEquals(List.of(1L, 2L), pod.getSpec().getSecurityContext().getSupplementalGroups());
        assertEquals(true, pod.getSpec().getHostNetwork());
        var key = container(pod, "jnlp").getEnv().stream().filter(each -> each.getName().equals("K")).findFirst().orElseThrow();
        assertEquals("s", key.getValueFrom().getSecretKeyRef().getName());
    }
}
