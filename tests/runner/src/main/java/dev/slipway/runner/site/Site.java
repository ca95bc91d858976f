package dev.slipway.runner.site;

import dev.slipway.runner.nodes.PodTemplate;
import dev.slipway.runner.nodes.Templates;
import hudson.AbortException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What an administrator configures once: environment, credentials, libraries, clouds, people; read
 * from Jenkins' configuration as code. folders is this runner's own:
 * what a job of that folder, and of those in it, sees beside it.
 */
public final class Site {
    private static final CloudOf UNNAMED = new CloudOf("kubernetes", "jenkins", false, null, null, Map.of());

    private final Map<String, String> environment = new LinkedHashMap<>();
    private final List<CloudOf> clouds = new ArrayList<>();
    private final List<Object> permitted = new ArrayList<>();
    public final Credentials credentials;
    public final Libraries libraries;
    public final People people = new People();
    private String jenkinsUrl = "http://localhost:8080/";
    private final String user;
    /** The outermost first, each by its full name. */
    private final List<String> folders = new ArrayList<>();

    /**
     * A Kubernetes cloud; where its use is restricted, a folder has to permit it. The templates are by their names;
     * the one of the defaults is what every other one inherits from, or null. The credential is a token, or null.
     */
    public record CloudOf(
            String name, String namespace, boolean restricted, String defaults, String credentialsId, Map<String, Map<String,
            Object>> templates) {}

    /** Who starts the build, and the folder that the job is in, as outer/inner, or null. */
    public Site(String user, String folder) {
        this.user = user;
        String path = "";
        for (String name : folder == null ? new String[0] : folder.split("/")) {
            path += (path.isEmpty() ? "" : "/") + name;
            folders.add(path);
        }
        credentials = new Credentials(folders.size());
        libraries = new Libraries(folders.size());
    }

    /** Of several files the later adds to the earlier; its clouds replace those. */
    public void read(Path file) throws IOException {
        Map<?, ?> root = new org.yaml.snakeyaml.Yaml().load(Files.readString(file));
        Map<?, ?> jenkins = Yaml.map(root, "jenkins");
        for (Object property : Yaml.list(jenkins, "globalNodeProperties")) {
            for (Object variable : Yaml.list(Yaml.map(property, "envVars"), "env")) {
                environment.put(Yaml.text(variable, "key"), Yaml.text(variable, "value"));
            }
        }
        if (!Yaml.list(jenkins, "clouds").isEmpty()) {
            clouds.clear();
        }
        Yaml.list(jenkins, "clouds").forEach(cloud -> clouds.add(cloud(Yaml.map(cloud, "kubernetes"))));
        people.read(jenkins);
        for (Object domain : Yaml.list(Yaml.map(root, "credentials", "system"), "domainCredentials")) {
            Yaml.list(domain, "credentials").forEach(each -> credentials.read(0, each));
        }
        Map<?, ?> unclassified = Yaml.map(root, "unclassified");
        if (Yaml.text(Yaml.map(unclassified, "location"), "url") != null) {
            jenkinsUrl = Yaml.text(Yaml.map(unclassified, "location"), "url");
        }
        Yaml.list(Yaml.map(unclassified, "globalLibraries"), "libraries").forEach(each -> libraries.read(0, each));
        Yaml.list(Yaml.map(unclassified, "globalUntrustedLibraries"), "libraries").forEach(libraries::readUntrusted);
        for (int i = 0; i < folders.size(); i++) {
            int level = i + 1;
            Map<?, ?> own = Yaml.map(root, "folders", folders.get(i));
            Yaml.list(own, "credentials").forEach(each -> credentials.read(level, each));
            Yaml.list(own, "libraries").forEach(each -> libraries.read(level, each));
            permitted.addAll(Yaml.list(own, "permittedClouds"));
        }
    }

    private static CloudOf cloud(Map<?, ?> given) {
        String name = Yaml.text(given, "name");
        String namespace = Yaml.text(given, "namespace");
        Map<String, Map<String, Object>> templates = new LinkedHashMap<>();
        Yaml.list(given, "templates")
                .forEach(each -> templates.putIfAbsent(Yaml.text(each, "name"), Templates.of(Yaml.plain(Yaml.map(each)))));
        return new CloudOf(name == null ? UNNAMED.name() : name, namespace == null ? UNNAMED.namespace() : namespace,
                Yaml.flag(given, "usageRestricted", false), Yaml.text(given, "defaultsProviderTemplate"),
                Yaml.text(given, "credentialsId"), templates);
    }

    public void setEnvironment(String name, String value) {
        environment.put(name, value);
    }

    public Map<String, String> environment() {
        return environment;
    }

    /** The cloud that podTemplate means; without a name it is the first, whether the job may use that or not. */
    public CloudOf cloud(String name) throws AbortException {
        CloudOf found = name == null ? clouds().get(0)
                : clouds().stream().filter(each -> each.name().equals(name)).findFirst().orElse(null);
        if (found == null) {
            throw new AbortException("Cloud does not exist: " + name);
        }
        if (!permits(found)) {
            throw new AbortException("Not authorized to use Kubernetes cloud: " + name);
        }
        return found;
    }

    /** The token with which that cloud asks the cluster; null where it has none of its own. */
    public String token(String cloud) {
        return clouds().stream().filter(each -> each.name().equals(cloud)).findFirst()
                .map(each -> credentials.ofJenkins(each.credentialsId())).orElse(null);
    }

    private boolean permits(CloudOf cloud) {
        return !cloud.restricted() || permitted.contains(cloud.name());
    }

    /** The template of its own that a cloud has for this label, of the first cloud that the job may use; null where none has. */
    public PodTemplate template(String label) {
        for (CloudOf cloud : clouds()) {
            for (Map<String, Object> each : permits(cloud) ? cloud.templates().values() : List.<Map<String, Object>>of()) {
                if (List.of(String.valueOf(each.get("label")).split(" +")).contains(label)) {
                    String namespace = (String) each.getOrDefault("namespace", cloud.namespace());
                    return PodTemplate.ofCloud(label, new PodTemplate.Place(cloud.name(), namespace, null, null), new LinkedHashMap<>(each),
                            cloud.defaults(), cloud.templates()::get);
                }
            }
        }
        return null;
    }

    private List<CloudOf> clouds() {
        return clouds.isEmpty() ? List.of(UNNAMED) : clouds;
    }

    public String jenkinsUrl() {
        return jenkinsUrl;
    }

    public String user() {
        return user;
    }
}
