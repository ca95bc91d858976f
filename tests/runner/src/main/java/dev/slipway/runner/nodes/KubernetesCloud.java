package dev.slipway.runner.nodes;

import hudson.AbortException;
import io.fabric8.kubernetes.api.model.Container;
import io.fabric8.kubernetes.api.model.ContainerBuilder;
import io.fabric8.kubernetes.api.model.ContainerStatus;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.api.model.VolumeMountBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.TimeUnit;

/** The Kubernetes cloud: makes an agent's pod of a template, and takes it away. */
public final class KubernetesCloud implements Cloud {
    private static final String VOLUME = "workspace-volume";
    private static final String AGENT_DIRECTORY = "/home/jenkins/agent";
    private static KubernetesClient client;

    private final String namespace;
    private final String agentImage;

    public KubernetesCloud(String namespace, String agentImage) {
        this.namespace = namespace;
        this.agentImage = agentImage;
    }

    static synchronized KubernetesClient client() {
        if (client == null) {
            client = new KubernetesClientBuilder().build();
        }
        return client;
    }

    @Override
    public String name(PodTemplate template) {
        return template.label() + "-" + UUID.randomUUID().toString().substring(0, 5);
    }

    /** The pod as it will be asked for: the template's, with an agent, a workspace and the plugin's labels. */
    private Pod plan(String name, PodTemplate template) throws AbortException {
        Pod pod;
        try {
            pod = template.yaml() == null || template.yaml().isBlank() ? new PodBuilder().withNewMetadata().endMetadata().withNewSpec().endSpec().build()
                    : Serialization.unmarshal(template.yaml(), Pod.class);
        } catch (RuntimeException broken) {
            throw new AbortException("the pod template is no YAML of a Pod: " + broken.getMessage());
        }
        pod = new PodBuilder(pod)
                .editOrNewMetadata().withName(name).withNamespace(namespace(template))
                .addToLabels("jenkins", "slave").addToLabels("jenkins/label", template.label())
                .addToAnnotations("buildUrl", template.buildUrl()).addToAnnotations("runUrl", template.runUrl()).endMetadata()
                .editOrNewSpec().withRestartPolicy("Never").addNewVolume().withName(VOLUME).withNewEmptyDir().endEmptyDir().endVolume().endSpec()
                .build();
        List<Container> containers = new ArrayList<>(pod.getSpec().getContainers());
        if (containers.stream().noneMatch(container -> container.getName().equals("jnlp"))) {
            containers.add(new ContainerBuilder().withName("jnlp").withImage(agentImage)
                    .withNewResources().addToRequests("cpu", new io.fabric8.kubernetes.api.model.Quantity("100m")).addToRequests("memory", new io.fabric8.kubernetes.api.model.Quantity("256Mi")).endResources().build());
        }
        for (Container container : containers) {
            if (container.getVolumeMounts().stream().noneMatch(mount -> AGENT_DIRECTORY.equals(mount.getMountPath()))) {
                container.getVolumeMounts().add(new VolumeMountBuilder().withName(VOLUME).withMountPath(AGENT_DIRECTORY).withReadOnly(false).build());
            }
            if (container.getName().equals("jnlp") && (container.getImage() == null || container.getImage().isBlank())) {
                container.setImage(agentImage);
            }
        }
        pod.getSpec().setContainers(containers);
        return pod;
    }

    private String namespace(PodTemplate template) {
        return template.namespace() == null ? namespace : template.namespace();
    }

    @Override
    public void create(String name, PodTemplate template, Watcher watcher) throws AbortException {
        Pod planned = plan(name, template);
        String in = planned.getMetadata().getNamespace();
        try {
            client().pods().inNamespace(in).resource(planned).create();
        } catch (KubernetesClientException refused) {
            if (refused.getCode() == 409) {
                return;
            }
            Throwable cause = refused;
            while (refused.getStatus() == null && cause.getCause() != null) {
                cause = cause.getCause();
            }
            throw new AbortException("the pod " + name + " was refused by " + client().getMasterUrl() + ": " + cause.getMessage());
        }
        watcher.line("Created Pod: kubernetes " + in + "/" + name);
    }

    @Override
    public Node await(String name, PodTemplate template, String job, Watcher watcher) throws AbortException {
        String in = namespace(template);
        int seconds = template.connectTimeout();
        try {
            Pod pod = client().pods().inNamespace(in).withName(name).waitUntilCondition(seen -> seen == null || watcher.isStopped() || ready(seen) || problem(seen) != null, seconds, TimeUnit.SECONDS);
            if (pod == null) {
                throw new AbortException("the pod " + name + " was deleted before it ran");
            }
            if (problem(pod) != null) {
                throw new AbortException("the pod " + name + " does not start: " + problem(pod));
            }
        } catch (KubernetesClientException late) {
            delete(name, template);
            throw new AbortException("the pod " + name + " did not start within " + seconds + " s");
        } catch (AbortException failed) {
            delete(name, template);
            throw failed;
        }
        return new PodNode(name, in, job);
    }

    private static boolean ready(Pod pod) {
        return "Running".equals(pod.getStatus().getPhase()) && pod.getStatus().getContainerStatuses().stream().allMatch(ContainerStatus::getReady);
    }

    private static String problem(Pod pod) {
        if ("Failed".equals(pod.getStatus().getPhase()) || "Succeeded".equals(pod.getStatus().getPhase())) {
            return "its phase is " + pod.getStatus().getPhase();
        }
        for (ContainerStatus status : pod.getStatus().getContainerStatuses()) {
            if (status.getState().getWaiting() != null && List.of("ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError").contains(status.getState().getWaiting().getReason())) {
                return status.getName() + ": " + status.getState().getWaiting().getReason() + ": " + status.getState().getWaiting().getMessage();
            }
            if (status.getState().getTerminated() != null) {
                return status.getName() + " ended with exit code " + status.getState().getTerminated().getExitCode();
            }
        }
        return null;
    }

    @Override
    public void delete(String name, PodTemplate template) {
        try {
            client().pods().inNamespace(namespace(template)).withName(name).delete();
        } catch (KubernetesClientException gone) {
            // The pod's own deadline ends it where the API server cannot be asked.
        }
    }
}
