package dev.slipway.runner.site;

import hudson.AbortException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.yaml.snakeyaml.Yaml;

/** What an administrator configures once: environment, credentials, libraries, the cloud; read from Jenkins' configuration as code. */
public final class Site {
    private static final Pattern REFERENCE = Pattern.compile("\\$\\{([A-Za-z0-9_]+)}");

    private final Map<String, String> environment = new LinkedHashMap<>();
    private final Map<String, Credential> credentials = new LinkedHashMap<>();
    private final Map<String, Library> libraries = new LinkedHashMap<>();
    private String cloudName = "kubernetes";
    private String cloudNamespace = "jenkins";
    private String jenkinsUrl = "http://localhost:8080/";
    private final String user;

    /** A credential by its id: of kind usernamePassword, string or file. */
    public record Credential(String kind, String username, String secret) {}

    private record Library(String remote, String version) {}

    public Site(String user) {
        this.user = user;
    }

    /** Reads a configuration-as-code file; ${NAME} stands for this process's environment. */
    public void read(Path file) throws IOException {
        Map<?, ?> root = new Yaml().load(Files.readString(file));
        Map<?, ?> jenkins = map(root, "jenkins");
        for (Object property : list(jenkins, "globalNodeProperties")) {
            for (Object variable : list(map((Map<?, ?>) property, "envVars"), "env")) {
                environment.put(text((Map<?, ?>) variable, "key"), text((Map<?, ?>) variable, "value"));
            }
        }
        for (Object cloud : list(jenkins, "clouds")) {
            Map<?, ?> given = map((Map<?, ?>) cloud, "kubernetes");
            cloudName = text(given, "name") == null ? cloudName : text(given, "name");
            String namespace = text(given, "namespace");
            if (namespace != null) {
                cloudNamespace = namespace;
            }
        }
        for (Object domain : list(map(map(root, "credentials"), "system"), "domainCredentials")) {
            for (Object entry : list((Map<?, ?>) domain, "credentials")) {
                ((Map<?, ?>) entry).forEach((kind, value) -> {
                    Map<?, ?> given = (Map<?, ?>) value;
                    String secret = text(given, kind.equals("usernamePassword") ? "password" : kind.equals("file") ? "secretBytes" : "secret");
                    credentials.put(text(given, "id"), new Credential(String.valueOf(kind), text(given, "username"), secret));
                });
            }
        }
        Map<?, ?> unclassified = map(root, "unclassified");
        if (text(map(unclassified, "location"), "url") != null) {
            jenkinsUrl = text(map(unclassified, "location"), "url");
        }
        for (Object library : list(map(unclassified, "globalLibraries"), "libraries")) {
            Map<?, ?> given = (Map<?, ?>) library;
            Map<?, ?> git = map(map(map(map(given, "retriever"), "modernSCM"), "scm"), "git");
            libraries.put(text(given, "name"), new Library(text(git, "remote"), text(given, "defaultVersion")));
        }
    }

    public void addLibrary(String name, String remote) {
        Library known = libraries.get(name);
        libraries.put(name, new Library(remote, known == null ? null : known.version()));
    }

    public void setEnvironment(String name, String value) {
        environment.put(name, value);
    }

    /** The library's files: a folder as it is, a repository as a clone of that version. */
    public Path library(String name, String version, Path directory) throws IOException, InterruptedException {
        Library library = libraries.get(name);
        if (library == null) {
            throw new AbortException("No library named " + name + " found");
        }
        if (Files.isDirectory(Path.of(library.remote())) && !Files.exists(Path.of(library.remote(), "HEAD"))) {
            return Path.of(library.remote());
        }
        String wanted = version != null ? version : library.version();
        Path clone = directory.resolve("libs").resolve(name);
        if (Files.isDirectory(clone)) {
            return clone;
        }
        Git.run(null, "clone", "-q", "--no-checkout", library.remote(), clone.toString());
        Git.run(clone, "checkout", "-q", wanted);
        return clone;
    }

    public Map<String, String> environment() {
        return environment;
    }

    public Credential credential(String id) throws AbortException {
        Credential found = credentials.get(id);
        if (found == null) {
            throw new AbortException("Could not find credentials entry with ID '" + id + "'");
        }
        return found;
    }

    public String cloudName() {
        return cloudName;
    }

    public String cloudNamespace() {
        return cloudNamespace;
    }

    public String jenkinsUrl() {
        return jenkinsUrl;
    }

    public String user() {
        return user;
    }

    private static Map<?, ?> map(Map<?, ?> in, String key) {
        return in != null && in.get(key) instanceof Map<?, ?> found ? found : Map.of();
    }

    private static List<?> list(Map<?, ?> in, String key) {
        return in != null && in.get(key) instanceof List<?> found ? found : new ArrayList<>();
    }

    private static String text(Map<?, ?> in, String key) {
        if (in == null || in.get(key) == null) {
            return null;
        }
        Matcher reference = REFERENCE.matcher(String.valueOf(in.get(key)));
        return reference.replaceAll(match -> Matcher.quoteReplacement(System.getenv().getOrDefault(match.group(1), "")));
    }
}
