package dev.slipway.runner.nodes;

import io.fabric8.kubernetes.api.model.ContainerState;
import io.fabric8.kubernetes.api.model.ContainerStatus;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.informers.ResourceEventHandler;
import io.fabric8.kubernetes.client.informers.SharedIndexInformer;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;

/** Follows an agent's pod, as the plugin's reaper does: until its containers run, and from then on until one of them does not. */
final class Reaper implements ResourceEventHandler<Pod>, AutoCloseable {
    /** All containers run. */
    final CompletableFuture<Pod> running = new CompletableFuture<>();
    /** It will never be of use again; the value is a line for the console, if one is left to be said. */
    final CompletableFuture<String> lost = new CompletableFuture<>();

    private final KubernetesClient client;
    private final String namespace;
    private final String name;
    private final Consumer<String> log;
    private final SharedIndexInformer<Pod> informer;

    Reaper(KubernetesClient client, String namespace, String name, Consumer<String> log) {
        this.client = client;
        this.namespace = namespace;
        this.name = name;
        this.log = log;
        informer = client.pods().inNamespace(namespace).withName(name).inform(this);
        if (informer.getStore().list().isEmpty()) {
            onDelete(null, false);
        }
    }

    @Override
    public void onAdd(Pod pod) {
        seen(pod);
    }

    @Override
    public void onUpdate(Pod before, Pod pod) {
        seen(pod);
    }

    @Override
    public synchronized void onDelete(Pod pod, boolean unseen) {
        if (!lost.isDone()) {
            log.accept("Pod " + namespace + "/" + name + " was just deleted");
            lost.complete("");
        }
    }

    private synchronized void seen(Pod pod) {
        if (lost.isDone()) {
            return;
        }
        List<ContainerStatus> containers = pod.getStatus().getContainerStatuses();
        boolean failed = "Failed".equals(pod.getStatus().getPhase());
        if (failed || containers.stream().anyMatch(each -> each.getState().getTerminated() != null)) {
            sayEnded(pod, containers, failed);
            lost.complete("");
            return;
        }
        for (ContainerStatus each : containers) {
            if (each.getState().getWaiting() != null
                    && List.of("ImagePullBackOff", "InvalidImageName").contains(each.getState().getWaiting().getReason())) {
                lost.complete("ERROR: Unable to pull Docker image \"" + each.getImage()
                        + "\". Check if image tag name is spelled correctly.");
                return;
            }
        }
        if (pod.getMetadata().getDeletionTimestamp() == null && !containers.isEmpty()
                && containers.size() == pod.getSpec().getContainers().size()
                && containers.stream().allMatch(each -> each.getState().getRunning() != null)) {
            running.complete(pod);
        }
    }

    /** Which containers have ended and how, and the last that all of them said. */
    private void sayEnded(Pod pod, List<ContainerStatus> containers, boolean failed) {
        for (ContainerStatus each : containers) {
            if (each.getState().getTerminated() != null) {
                log.accept(namespace + "/" + name + " Container " + each.getName() + " was terminated (Exit Code: "
                        + each.getState().getTerminated().getExitCode()
                        + ", Reason: " + each.getState().getTerminated().getReason() + ")");
            }
        }
        if (failed && pod.getStatus().getReason() != null) {
            log.accept(namespace + "/" + name + " Pod just failed (Reason: " + pod.getStatus().getReason() + ", Message: "
                    + pod.getStatus().getMessage() + ")");
        }
        for (ContainerStatus each : containers) {
            log.accept("\n- " + each.getName() + " -- " + how(each.getState()) + "\n-----Logs-------------\n" + lastWords(each.getName()));
        }
    }

    private static String how(ContainerState state) {
        if (state.getTerminated() != null) {
            return "terminated (" + state.getTerminated().getExitCode() + ")";
        }
        return state.getRunning() != null ? "running" : "waiting";
    }

    private String lastWords(String container) {
        try {
            return client.pods().inNamespace(namespace).withName(name).inContainer(container).tailingLines(30).getLog();
        } catch (KubernetesClientException gone) {
            return "";
        }
    }

    @Override
    public void close() {
        informer.close();
    }
}
