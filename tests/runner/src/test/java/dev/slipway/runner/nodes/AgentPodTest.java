package dev.slipway.runner.nodes;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The pod that is asked for, beside what the plugin's console has shown of its own. */
class AgentPodTest {
    private static final Path PODS = Path.of("conformance", "pods");
    private static final String AGENT = "jenkins/inbound-agent:3192.v713e3b_039fb_e-1";

    private static PodTemplate template(String label, String job, String yaml, List<Map<String, Object>> containers) {
        Map<String, Object> given = new LinkedHashMap<>(Map.of("containers", containers));
        given.put("yaml", yaml);
        var place = new PodTemplate.Place("kubernetes", "ci", "http://HOST/job/" + job + "/N/", "job/" + job + "/N/");
        return PodTemplate.inside(null, label, label + "-x", place, Templates.of(given), null, none -> null);
    }

    private static String shown(String name, PodTemplate template) {
        return AgentPod.shown(AgentPod.of(name, template, "ci", AGENT, "http://HOST/"))
                .replaceFirst("jenkins/label-digest: .*", "jenkins/label-digest: \"DIGEST\"").strip();
    }

    /** The YAML in a case's answer, from the line that begins it to the empty one after it. */
    private static String recorded(String name, int which) throws IOException {
        Matcher blocks = Pattern.compile("^---\n.*?(?=\n\n)", Pattern.MULTILINE | Pattern.DOTALL)
                .matcher(Files.readString(PODS.resolve("expected").resolve(name + ".txt")));
        for (int i = 0; i <= which; i++) {
            assertTrue(blocks.find(), name + " shows fewer pods");
        }
        return blocks.group().strip();
    }

    @ParameterizedTest
    @ValueSource(strings =
            {"pod-basic", "container-env", "container-exit", "container-other-user", "container-out-of-memory", "pod-deadline"})
    void isThePlugins(String name) throws IOException {
        String script = Files.readString(PODS.resolve("cases").resolve(name + ".groovy"));
        Matcher yaml = Pattern.compile("yaml: '''\n(.*?)'''", Pattern.DOTALL).matcher(script);
        assertTrue(yaml.find());
        assertEquals(recorded(name, 0), shown("POD", template("LABEL", "case-" + name, yaml.group(1), List.of())));
    }

    @Test
    void hasTheContainersOfTheTemplate() throws IOException {
        Map<String, Object> tool = new LinkedHashMap<>(Map.of("name", "tool", "image", "tool:1", "command", "sleep", "args", "infinity"));
        assertEquals(recorded("pod-label-values", 2), shown("POD3", template("own-label", "case-pod-label-values", null, List.of(tool))));
    }

    @Test
    void hasASecretThatTheConsoleDoesNotShow() {
        var pod = AgentPod.of("POD", template("LABEL", "job", "", List.of()), "ci", AGENT, "http://HOST/");
        String secret = pod.getSpec().getContainers().get(0).getEnv().stream().filter(each -> each.getName().equals("JENKINS_SECRET"))
                .findFirst().orElseThrow().getValue();
        assertEquals(64, secret.length());
        assertFalse(AgentPod.shown(pod).contains(secret));
    }
}
