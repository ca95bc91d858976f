package dev.slipway.runner.nodes;

import io.fabric8.kubernetes.api.model.Container;
import io.fabric8.kubernetes.api.model.ContainerBuilder;
import io.fabric8.kubernetes.api.model.EnvVar;
import io.fabric8.kubernetes.api.model.LocalObjectReference;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.api.model.PodSecurityContext;
import io.fabric8.kubernetes.api.model.PodSpec;
import io.fabric8.kubernetes.api.model.Quantity;
import io.fabric8.kubernetes.api.model.ResourceRequirements;
import io.fabric8.kubernetes.api.model.SecurityContext;
import io.fabric8.kubernetes.api.model.Toleration;
import io.fabric8.kubernetes.api.model.Volume;
import io.fabric8.kubernetes.api.model.VolumeMount;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;

/** Pods that are put together: by the rules of the Kubernetes plugin for a template's YAML and what it says beside that. */
final class Pods {
    private Pods() {}

    /** What the texts say: merged, or the last one alone; null where there is none. */
    static Pod ofYaml(List<String> yamls, boolean merged) {
        if (yamls.isEmpty()) {
            return null;
        }
        if (!merged) {
            return parsed(yamls.get(yamls.size() - 1));
        }
        Pod all = parsed(yamls.get(0));
        for (String each : yamls.subList(1, yamls.size())) {
            all = combined(all, parsed(each));
        }
        return all;
    }

    private static Pod parsed(String yaml) {
        Pod pod = Serialization.unmarshal(yaml, Pod.class);
        return complete(pod == null ? new Pod() : pod);
    }

    private static Pod complete(Pod pod) {
        return new PodBuilder(pod).editOrNewMetadata().endMetadata().editOrNewSpec().endSpec().build();
    }

    /**
     * The parent's pod with what the child says: containers, volumes, labels and annotations by their names. As in the plugin a
     * deadline and groups that the child says are lost where there is a parent.
     */
    static Pod combined(Pod parent, Pod child) {
        if (parent == null) {
            return child;
        }
        PodSpec above = parent.getSpec();
        PodSpec own = child.getSpec();
        Set<LocalObjectReference> secrets = new LinkedHashSet<>(above.getImagePullSecrets());
        secrets.addAll(own.getImagePullSecrets());
        List<Toleration> tolerations = new ArrayList<>(above.getTolerations());
        tolerations.addAll(own.getTolerations());
        Map<String, Volume> volumes = new HashMap<>();
        above.getVolumes().forEach(each -> volumes.put(each.getName(), each));
        own.getVolumes().forEach(each -> volumes.put(each.getName(), each));
        PodBuilder pod = new PodBuilder(parent).editMetadata()
                .withAnnotations(merged(parent.getMetadata().getAnnotations(), child.getMetadata().getAnnotations()))
                .withLabels(merged(parent.getMetadata().getLabels(), child.getMetadata().getLabels()))
                .withName(or(child.getMetadata().getName(), parent.getMetadata().getName()))
                .withNamespace(or(child.getMetadata().getNamespace(), parent.getMetadata().getNamespace())).endMetadata()
                .editSpec().withNodeSelector(merged(above.getNodeSelector(), own.getNodeSelector()))
                .withServiceAccount(or(own.getServiceAccount(), above.getServiceAccount()))
                .withServiceAccountName(or(own.getServiceAccountName(), above.getServiceAccountName()))
                .withSchedulerName(or(own.getSchedulerName(), above.getSchedulerName()))
                .withHostNetwork(own.getHostNetwork() != null ? own.getHostNetwork() : above.getHostNetwork())
                .withContainers(containers(above.getContainers(), own.getContainers()))
                .withInitContainers(containers(above.getInitContainers(), own.getInitContainers()))
                .withVolumes(new ArrayList<>(volumes.values())).withTolerations(tolerations).withImagePullSecrets(new ArrayList<>(secrets))
                        .endSpec();
        if (above.getSecurityContext() != null || own.getSecurityContext() != null) {
            Long user = or(of(own.getSecurityContext(), PodSecurityContext::getRunAsUser),
                    of(above.getSecurityContext(), PodSecurityContext::getRunAsUser));
            Long group = or(of(own.getSecurityContext(), PodSecurityContext::getRunAsGroup),
                    of(above.getSecurityContext(), PodSecurityContext::getRunAsGroup));
            pod.editSpec().editOrNewSecurityContext().withRunAsUser(user).withRunAsGroup(group).endSecurityContext().endSpec();
        }
        return pod.build();
    }

    private static List<Container> containers(List<Container> parent, List<Container> child) {
        Map<String, Container> all = named(parent);
        named(child).forEach((name, each) -> all.merge(name, each, Pods::combined));
        return new ArrayList<>(all.values());
    }

    private static Map<String, Container> named(List<Container> containers) {
        return containers.stream().collect(Collectors.toMap(Container::getName, each -> each, (one, other) -> {
            throw new IllegalStateException("Duplicate key " + one);
        }, LinkedHashMap::new));
    }

    private static Container combined(Container parent, Container child) {
        Map<String, VolumeMount> mounts = new HashMap<>();
        parent.getVolumeMounts().forEach(each -> mounts.put(each.getMountPath(), each));
        child.getVolumeMounts().forEach(each -> mounts.put(each.getMountPath(), each));
        Map<String, EnvVar> variables = new HashMap<>();
        parent.getEnv().forEach(each -> variables.put(each.getName(), each));
        child.getEnv().forEach(each -> variables.put(each.getName(), each));
        List<io.fabric8.kubernetes.api.model.EnvFromSource> sources = new ArrayList<>(parent.getEnvFrom());
        sources.addAll(child.getEnvFrom());
        ContainerBuilder all = new ContainerBuilder(parent).withImage(or(child.getImage(), parent.getImage())).withName(child.getName())
                .withImagePullPolicy(or(child.getImagePullPolicy(), parent.getImagePullPolicy()))
                .withWorkingDir(or(or(child.getWorkingDir(), parent.getWorkingDir()), AgentPod.DIRECTORY))
                .withCommand(child.getCommand().isEmpty() ? parent.getCommand() : child.getCommand())
                .withArgs(child.getArgs().isEmpty() ? parent.getArgs() : child.getArgs())
                .withTty(child.getTty() != null ? child.getTty() : parent.getTty())
                .withNewResources().withRequests(resources(parent, child, ResourceRequirements::getRequests))
                .withLimits(resources(parent, child, ResourceRequirements::getLimits)).endResources()
                .withEnv(new ArrayList<>(variables.values())).withEnvFrom(sources).withVolumeMounts(new ArrayList<>(mounts.values()));
        Boolean privileged =
                or(of(child.getSecurityContext(), SecurityContext::getPrivileged),
                of(parent.getSecurityContext(), SecurityContext::getPrivileged));
        Long user = or(of(child.getSecurityContext(), SecurityContext::getRunAsUser),
                of(parent.getSecurityContext(), SecurityContext::getRunAsUser));
        Long group = or(of(child.getSecurityContext(), SecurityContext::getRunAsGroup),
                of(parent.getSecurityContext(), SecurityContext::getRunAsGroup));
        if (Boolean.TRUE.equals(privileged) || user != null || group != null) {
            // As in the plugin: what else the parent's security context says is lost.
            all.withNewSecurityContext().withPrivileged(privileged).withRunAsUser(user).withRunAsGroup(group).endSecurityContext();
        }
        return all.build();
    }

    private static Map<String,
            Quantity> resources(Container parent, Container child, Function<ResourceRequirements, Map<String, Quantity>> kind) {
        return merged(of(parent.getResources(), kind), of(child.getResources(), kind));
    }

    private static <V> Map<String, V> merged(Map<String, V> parent, Map<String, V> child) {
        Map<String, V> all = new LinkedHashMap<>();
        if (parent != null) {
            all.putAll(parent);
        }
        if (child != null) {
            all.putAll(child);
        }
        return all;
    }

    private static <S, T> T of(S something, Function<S, T> get) {
        return something == null ? null : get.apply(something);
    }

    private static <T> T or(T own, T inherited) {
        return own == null || own.equals("") ? inherited : own;
    }
}
