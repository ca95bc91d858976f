package dev.slipway.runner.engine;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/** What a call such as string(name: 'X') stands for: a description that a step reads. */
public final class Symbol extends LinkedHashMap<String, Object> {
    public static final Set<String> NAMES =
            Set.of("string", "booleanParam", "choice", "text", "password", "usernamePassword", "usernameColonPassword", "file",
            "parameters", "disableConcurrentBuilds", "buildDiscarder", "logRotator", "pipelineTriggers", "kubernetesAgent", "nonresumable",
                    "agent", "disableResume", "durabilityHint", "containerTemplate",
            "emptyDirVolume", "secretVolume", "configMapVolume", "hostPathVolume", "nfsVolume", "persistentVolumeClaim",
                    "emptyDirWorkspaceVolume",
            "hostPathWorkspaceVolume", "nfsWorkspaceVolume", "persistentVolumeClaimWorkspaceVolume", "envVar", "containerEnvVar",
                    "podEnvVar", "secretEnvVar",
            "podAnnotation", "portMapping", "containerLivenessProbe", "merge", "override", "onFailure", "cron", "upstream", "pollSCM",
                    "rateLimitBuilds", "preserveStashes", "skipDefaultCheckout", "never", "always");

    public final String symbol;
    public final Object single;

    Symbol(Arguments arguments) {
        symbol = arguments.step();
        single = arguments.get("", true);
        putAll(arguments.named());
    }

    public String string(String name) {
        Object value = get(name);
        return value == null ? null : String.valueOf(value);
    }

    static boolean known(String name) {
        return NAMES.contains(name);
    }

    static Symbol of(String name, Object[] arguments) {
        return new Symbol(new Arguments(name, arguments));
    }

}
