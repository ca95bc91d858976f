package dev.slipway.runner.nodes;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.function.UnaryOperator;

/**
 * Pod templates as maps of what podTemplate(...) and a cloud's templates say, and how one inherits from others: by the rules
 * of PodTemplateUtils of the Kubernetes plugin. A list's entries of different kinds have their kind beside their values.
 */
public final class Templates {
    /** What an entry of a list is: emptyDirVolume, secretEnvVar, ... */
    public static final String KIND = "kind";
    static final int CONNECT_TIMEOUT = 1000;

    private static final String YAMLS = "yamls";
    private static final List<String> UNSET_OR_OWN = List.of("nodeSelector", "serviceAccount", "schedulerName", "namespace", "runAsUser",
            "runAsGroup", "supplementalGroups", "hostNetwork", "showRawYaml", "inheritFrom", "terminationGracePeriodSeconds");
    private static final List<String> OF_A_CONTAINER = List.of("image", "runAsUser", "runAsGroup", "workingDir", "command", "args",
            "resourceRequestCpu", "resourceRequestMemory", "resourceRequestEphemeralStorage", "resourceLimitCpu", "resourceLimitMemory",
            "resourceLimitEphemeralStorage", "shell", "livenessProbe");
    private static final List<String> FLAGS_OF_A_CONTAINER = List.of("privileged", "alwaysPullImage", "ttyEnabled");

    private Templates() {}

    /** What is given, with the YAML as a list of one; lists and maps in it are copies. */
    public static Map<String, Object> of(Map<String, ?> given) {
        Map<String, Object> template = new LinkedHashMap<>();
        given.forEach((name, value) -> {
            if (value != null && !name.equals("yaml")) {
                template.put(name, value);
            }
        });
        if (given.get("yaml") instanceof String yaml && !yaml.isBlank()) {
            template.put(YAMLS, new ArrayList<>(List.of(yaml)));
        }
        return template;
    }

    static String text(Map<String, Object> of, String name) {
        Object value = of.get(name);
        return value == null || value.equals("") ? null : String.valueOf(value);
    }

    static boolean flag(Map<String, Object> of, String name, boolean otherwise) {
        String value = text(of, name);
        return value == null ? otherwise : Boolean.parseBoolean(value);
    }

    static int number(Map<String, Object> of, String name, int otherwise) {
        String value = text(of, name);
        return value == null || value.equals("0") ? otherwise : Integer.parseInt(value);
    }

    @SuppressWarnings("unchecked")
    static List<Map<String, Object>> entries(Map<String, Object> of, String name) {
        return of.get(name) instanceof List<?> list ? (List<Map<String, Object>>) list : List.of();
    }

    @SuppressWarnings("unchecked")
    static Map<String, Object> entry(Map<String, Object> of, String name) {
        return (Map<String, Object>) of.get(name);
    }

    @SuppressWarnings("unchecked")
    static List<String> texts(Map<String, Object> of, String name) {
        return of.get(name) instanceof List<?> list ? (List<String>) list : List.of();
    }

    static List<String> yamls(Map<String, Object> of) {
        return texts(of, YAMLS);
    }

    /** Whether the YAML of several templates is merged; otherwise that of the last one counts alone. */
    static boolean merges(Map<String, Object> of) {
        Object strategy = of.get("yamlMergeStrategy");
        return strategy instanceof Map<?, ?> entry ? "merge".equals(entry.get(KIND)) : "merge".equals(strategy);
    }

    /**
     * With all that it inherits: from the cloud's template of defaults, and then from those that inheritFrom names, separated by
     * blanks, each with its own parents. A name that nobody has is passed over.
     */
    public static Map<String,
            Object> unwrapped(Map<String, Object> template, String defaults, Function<String, Map<String, Object>> known) {
        return unwrapped(template, defaults, known, new HashSet<>());
    }

    private static Map<String, Object> unwrapped(Map<String, Object> template, String defaults, Function<String, Map<String, Object>> known,
            Set<String> around) {
        List<String> names = new ArrayList<>();
        if (defaults != null) {
            names.add(defaults);
        }
        if (text(template, "inheritFrom") != null) {
            names.addAll(List.of(text(template, "inheritFrom").split(" +")));
        }
        Map<String, Object> parent = null;
        for (String name : names) {
            Map<String, Object> next = known.apply(name);
            // Jenkins does not end where templates inherit from each other.
            if (next != null && around.add(name)) {
                Map<String, Object> whole = unwrapped(next, null, known, around);
                parent = parent == null ? whole : combined(parent, whole);
                around.remove(name);
            }
        }
        return parent == null ? template : combined(parent, template);
    }

    private static Map<String, Object> combined(Map<String, Object> parent, Map<String, Object> child) {
        Map<String, Object> all = new LinkedHashMap<>(child);
        UNSET_OR_OWN.forEach(name -> inherit(all, parent, child, name));
        for (String name : List.of("idleMinutes", "activeDeadlineSeconds")) {
            all.put(name, number(child, name, number(parent, name, 0)));
        }
        int own = number(child, "slaveConnectTimeout", CONNECT_TIMEOUT);
        all.put("slaveConnectTimeout", own != CONNECT_TIMEOUT ? own : number(parent, "slaveConnectTimeout", CONNECT_TIMEOUT));
        all.put("envVars", new ArrayList<>(
                byName(parent, child, "envVars", "key", new LinkedHashMap<>(), UnaryOperator.identity()).values()));
        all.put("volumes", new ArrayList<>(
                byName(parent, child, "volumes", "mountPath", new HashMap<>(), UnaryOperator.identity()).values()));
        Map<String, Map<String,
                Object>> parents = byName(parent, Map.of(), "containers", "name", new HashMap<>(), UnaryOperator.identity());
        all.put("containers", new ArrayList<>(byName(parent, child, "containers", "name", new HashMap<>(),
                each -> parents.containsKey(text(each, "name")) ? container(parents.get(text(each, "name")), each) : each).values()));
        all.put("annotations", both(child, parent, "annotations"));
        all.put("imagePullSecrets", both(child, parent, "imagePullSecrets"));
        if (!child.containsKey("workspaceVolume") || isDefault(child.get("workspaceVolume"))) {
            inherit(all, parent, Map.of(), "workspaceVolume");
        }
        if (flag(parent, "inheritYamlMergeStrategy", false)) {
            inherit(all, parent, child, "yamlMergeStrategy");
            all.put("inheritYamlMergeStrategy", true);
        }
        List<String> yamls = new ArrayList<>(yamls(parent));
        yamls.addAll(yamls(child));
        all.put(YAMLS, yamls);
        return all;
    }

    private static void inherit(Map<String, Object> into, Map<String, Object> parent, Map<String, Object> child, String name) {
        if (text(child, name) == null && parent.get(name) != null) {
            into.put(name, parent.get(name));
        }
    }

    private static boolean isDefault(Object volume) {
        return volume instanceof Map<?, ?> map && "emptyDirWorkspaceVolume".equals(map.get(KIND))
                && !Boolean.parseBoolean(String.valueOf(map.get("memory")));
    }

    /** The parent's, and then the child's in place of what has the same name. */
    private static Map<String, Map<String, Object>> byName(Map<String, Object> parent, Map<String, Object> child, String list, String name,
            Map<String, Map<String, Object>> into, UnaryOperator<Map<String, Object>> ofChild) {
        entries(parent, list).forEach(each -> into.put(text(each, name), each));
        entries(child, list).forEach(each -> into.put(text(each, name), ofChild.apply(each)));
        return into;
    }

    private static List<Object> both(Map<String, Object> first, Map<String, Object> second, String list) {
        Set<Object> all = new LinkedHashSet<>((List<?>) first.getOrDefault(list, List.of()));
        all.addAll((List<?>) second.getOrDefault(list, List.of()));
        return new ArrayList<>(all);
    }

    /** A container of the child's with one of that name of the parent's: what it does not say itself, and all variables and ports. */
    private static Map<String, Object> container(Map<String, Object> parent, Map<String, Object> child) {
        Map<String, Object> all = new LinkedHashMap<>(child);
        OF_A_CONTAINER.forEach(name -> inherit(all, parent, child, name));
        FLAGS_OF_A_CONTAINER.forEach(name -> all.put(name, flag(child, name, false) || flag(parent, name, false)));
        all.put("envVars", new ArrayList<>(
                byName(parent, child, "envVars", "key", new LinkedHashMap<>(), UnaryOperator.identity()).values()));
        all.put("ports", new ArrayList<>(byName(parent, child, "ports", "name", new HashMap<>(), UnaryOperator.identity()).values()));
        return all;
    }
}
