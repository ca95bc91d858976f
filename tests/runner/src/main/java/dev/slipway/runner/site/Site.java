package dev.slipway.runner.site;

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
 * from Jenkins' configuration as code. folders is this runner's own: what a job of that folder sees beside it.
 */
public final class Site {
    private static final CloudOf UNNAMED = new CloudOf("kubernetes", "jenkins", false, Map.of());

    private final Map<String, String> environment = new LinkedHashMap<>();
    private final List<CloudOf> clouds = new ArrayList<>();
    private final List<Object> permitted = new ArrayList<>();
    public final Credentials credentials = new Credentials();
    public final Libraries libraries = new Libraries();
    public final People people = new People();
    private String jenkinsUrl = "http://localhost:8080/";
    private final String user;
    private final String folder;

    /** A Kubernetes cloud; where its use is restricted, a folder has to permit it. The templates are YAML's, by their names. */
    public record CloudOf(String name, String namespace, boolean restricted, Map<String, Object> templates) {}

    /** Who starts the build, and the folder that the job is in, or null. */
    public Site(String user, String folder) {
        this.user = user;
        this.folder = folder;
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
            Yaml.list(domain, "credentials").forEach(credentials::read);
        }
        Map<?, ?> unclassified = Yaml.map(root, "unclassified");
        if (Yaml.text(Yaml.map(unclassified, "location"), "url") != null) {
            jenkinsUrl = Yaml.text(Yaml.map(unclassified, "location"), "url");
        }
        Yaml.list(Yaml.map(unclassified, "globalLibraries"), "libraries").forEach(libraries::read);
        if (folder != null) {
            Map<?, ?> own = Yaml.map(root, "folders", folder);
            Yaml.list(own, "credentials").forEach(credentials::read);
            Yaml.list(own, "libraries").forEach(libraries::read);
            permitted.addAll(Yaml.list(own, "permittedClouds"));
        }
    }

    private static CloudOf cloud(Map<?, ?> given) {
        String name = Yaml.text(given, "name");
        String namespace = Yaml.text(given, "namespace");
        Map<String, Object> templates = new LinkedHashMap<>();
        Yaml.list(given, "templates").forEach(each -> templates.put(Yaml.text(each, "name"), each));
        return new CloudOf(name == null ? UNNAMED.name() : name, namespace == null ? UNNAMED.namespace() : namespace, Yaml.flag(given,
                "usageRestricted", false), templates);
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
        if (found.restricted() && !permitted.contains(found.name())) {
            throw new AbortException("Not authorized to use Kubernetes cloud: " + name);
        }
        return found;
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
