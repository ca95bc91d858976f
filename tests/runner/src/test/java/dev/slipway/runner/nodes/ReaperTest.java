package dev.slipway.runner.nodes;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.fabric8.kubernetes.api.model.ContainerStateBuilder;
import io.fabric8.kubernetes.api.model.ContainerState;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.server.mock.EnableKubernetesMockClient;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** What becomes of a pod, told by an API server. */
@EnableKubernetesMockClient(crud = true)
class ReaperTest {
    private KubernetesClient client;
    private final List<String> said = new CopyOnWriteArrayList<>();

    private Pod pod(String phase, ContainerState tool) {
        return new PodBuilder().withNewMetadata().withName("p").withNamespace("ci").endMetadata()
                .withNewSpec().addNewContainer().withName("tool").withImage("tool:1").endContainer().endSpec()
                .withNewStatus().withPhase(phase).addNewContainerStatus().withName("tool").withImage("tool:1").withState(tool)
                        .endContainerStatus().endStatus().build();
    }

    private static ContainerState runs() {
        return new ContainerStateBuilder().withNewRunning().endRunning().build();
    }

    private static ContainerState waits(String why) {
        return new ContainerStateBuilder().withNewWaiting().withReason(why).endWaiting().build();
    }

    private Reaper reaper(Pod before) {
        client.pods().resource(before).create();
        return new Reaper(client, "ci", "p", said::add);
    }

    private void now(Pod after) {
        client.pods().inNamespace("ci").resource(after).update();
    }

    @Test
    void runs_then_isDeleted() throws Exception {
        try (Reaper reaper = reaper(pod("Pending", waits("ContainerCreating")))) {
            assertFalse(reaper.running.isDone());
            now(pod("Running", runs()));
            assertEquals("p", reaper.running.get(10, TimeUnit.SECONDS).getMetadata().getName());
            assertFalse(reaper.lost.isDone());
            client.pods().inNamespace("ci").withName("p").delete();
            reaper.lost.get(10, TimeUnit.SECONDS);
        }
        assertEquals(List.of("Pod ci/p was just deleted"), said);
    }

    @Test
    void wasGoneBefore() throws Exception {
        try (Reaper reaper = new Reaper(client, "ci", "p", said::add)) {
            reaper.lost.get(10, TimeUnit.SECONDS);
        }
        assertEquals(List.of("Pod ci/p was just deleted"), said);
    }

    @Test
    void hasAnImageThatCannotBePulled() throws Exception {
        try (Reaper reaper = reaper(pod("Pending", waits("ErrImagePull")))) {
            assertFalse(reaper.lost.isDone(), "it is tried again");
            now(pod("Pending", waits("ImagePullBackOff")));
            assertEquals("ERROR: Unable to pull Docker image \"tool:1\". Check if image tag name is spelled correctly.",
                    reaper.lost.get(10, TimeUnit.SECONDS));
        }
    }

    @Test
    void losesAContainer() throws Exception {
        try (Reaper reaper = reaper(pod("Running", runs()))) {
            now(pod("Running", new ContainerStateBuilder().withNewTerminated().withExitCode(137).withReason("Error").endTerminated()
                    .build()));
            reaper.lost.get(10, TimeUnit.SECONDS);
        }
        assertEquals("ci/p Container tool was terminated (Exit Code: 137, Reason: Error)", said.get(0));
        assertTrue(said.get(1).contains("- tool -- terminated (137)"), said.get(1));
    }

    @Test
    void isPastItsDeadline() throws Exception {
        Pod late = pod("Failed", runs());
        late.getStatus().setReason("DeadlineExceeded");
        late.getStatus().setMessage("Pod was active on the node longer than the specified deadline");
        try (Reaper reaper = reaper(pod("Running", runs()))) {
            now(late);
            reaper.lost.get(10, TimeUnit.SECONDS);
        }
        assertEquals("ci/p Pod just failed (Reason: DeadlineExceeded, Message: Pod was active on the node longer than the specified deadline)", said.get(0));
    }
}
