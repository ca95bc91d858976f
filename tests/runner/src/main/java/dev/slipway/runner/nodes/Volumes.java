package dev.slipway.runner.nodes;

import io.fabric8.kubernetes.api.model.Volume;
import io.fabric8.kubernetes.api.model.VolumeBuilder;
import io.fabric8.kubernetes.api.model.VolumeMount;
import io.fabric8.kubernetes.api.model.VolumeMountBuilder;
import java.nio.file.Path;
import java.util.Map;

/** The volumes of a pod template, by their kinds: emptyDirVolume, secretVolume, ... */
final class Volumes {
    private Volumes() {}

    static Volume volume(String name, Map<String, Object> given) {
        VolumeBuilder made = new VolumeBuilder().withName(name);
        Boolean optional = given.get("optional") == null ? null : Templates.flag(given, "optional", false);
        boolean readOnly = Templates.flag(given, "readOnly", false);
        String kind = Templates.text(given, Templates.KIND);
        // Those for the workspace have the same values.
        return switch (kind.replaceFirst("WorkspaceVolume$", "Volume")) {
            case "emptyDirVolume" -> made.withNewEmptyDir().withMedium(Templates.flag(given, "memory", false) ? "Memory" : "").endEmptyDir()
                    .build();
            case "secretVolume" -> made.withNewSecret().withSecretName(Templates.text(given, "secretName")).withOptional(optional)
                    .withDefaultMode(Templates.text(given, "defaultMode") == null ? null
                            : Integer.valueOf(Templates.text(given, "defaultMode"))).endSecret().build();
            case "configMapVolume" -> made.withNewConfigMap().withName(Templates.text(given, "configMapName")).withOptional(optional)
                    .endConfigMap().build();
            case "hostPathVolume" -> made.withNewHostPath().withPath(Templates.text(given, "hostPath")).endHostPath().build();
            case "persistentVolumeClaim", "persistentVolumeClaimVolume" -> made.withNewPersistentVolumeClaim()
                    .withClaimName(Templates.text(given, "claimName")).withReadOnly(readOnly).endPersistentVolumeClaim().build();
            case "nfsVolume" -> made.withNewNfs(Templates.text(given, "serverPath"), readOnly, Templates.text(given, "serverAddress"))
                    .build();
            default -> throw new IllegalArgumentException("volumes of the kind " + kind + " are not known here");
        };
    }

    static VolumeMount mount(String name, Map<String, Object> given) {
        String kind = Templates.text(given, Templates.KIND);
        String part = kind.equals("configMapVolume") ? Templates.text(given, "subPath") : null;
        return new VolumeMountBuilder().withName(name).withMountPath(path(given)).withSubPath(part)
                .withReadOnly(kind.equals("hostPathVolume") && Templates.flag(given, "readOnly", false)).build();
    }

    static String path(Map<String, Object> given) {
        return Path.of(Templates.text(given, "mountPath")).normalize().toString();
    }
}
