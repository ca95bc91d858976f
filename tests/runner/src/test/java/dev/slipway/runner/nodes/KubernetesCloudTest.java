package dev.slipway.runner.nodes;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;

import hudson.AbortException;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.server.mock.EnableKubernetesMockClient;
import io.fabric8.kubernetes.client.server.mock.KubernetesMockServer;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** An agent's pod that runs, on an API server that lets nobody in. */
@EnableKubernetesMockClient(crud = true)
class KubernetesCloudTest {
    private KubernetesClient client;
    private KubernetesMockServer server;

    @BeforeEach
    void begin() {
        KubernetesCloud.client = client;
    }

    @AfterEach
    void end() {
        KubernetesCloud.client = null;
    }

    private static Pod pod(String phase) {
        return new PodBuilder().withNewMetadata().withName("p").withNamespace("ci").endMetadata()
                .withNewSpec().addNewContainer().withName(AgentPod.AGENT).endContainer().endSpec()
                .withNewStatus().withPhase(phase).addNewContainerStatus().withName(AgentPod.AGENT).withNewState().withNewRunning()
                        .endRunning().endState().endContainerStatus().endStatus().build();
    }

    /** Waits for the agent, beside the test. */
    private CompletableFuture<Node> awaited() {
        client.pods().resource(pod("Running")).create();
        PodTemplate template =
                PodTemplate.inside(null, "label", "name", new PodTemplate.Place("kubernetes", "ci", "http://HOST/", "job/1/"),
                Templates.of(Map.of("showRawYaml", false)), null, none -> null);
        return CompletableFuture.supplyAsync(() -> {
            try {
                return new KubernetesCloud("agent:1", "http://HOST/").await("p", template, "job", said -> {}, new CompletableFuture<>());
            } catch (Exception problem) {
                throw new CompletionException(problem);
            }
        });
    }

    /** The path of the first exec, which is answered with something else than a connection. */
    private String exec() throws InterruptedException {
        String path = "";
        while (!path.contains("/exec")) {
            path = server.takeRequest(10, TimeUnit.SECONDS).getPath();
        }
        return path;
    }

    @Test
    void hasNoAgentWhereThePodEndsMeanwhile() throws Exception {
        CompletableFuture<Node> awaited = awaited();
        exec();
        client.pods().inNamespace("ci").resource(pod("Failed")).update();
        Throwable why = assertThrows(ExecutionException.class, () -> awaited.get(10, TimeUnit.SECONDS)).getCause();
        assertFalse(assertInstanceOf(NoAgent.class, why).again, "it is cancelled, as in Jenkins");
    }

    @Test
    void saysThatItIsRefusedForGood() throws Exception {
        CompletableFuture<Node> awaited = awaited();
        server.expect().get().withPath(exec()).andReturn(403, "").always();
        Throwable why = assertThrows(ExecutionException.class, () -> awaited.get(60, TimeUnit.SECONDS)).getCause();
        assertEquals("the API server answers HTTP 403 to an exec in pod ci/p", assertInstanceOf(AbortException.class, why).getMessage());
    }
}
