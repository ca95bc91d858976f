package dev.slipway.runner.site;

import java.util.HashMap;
import java.util.Map;
import org.jenkinsci.plugins.credentialsbinding.impl.CredentialNotFoundException;

/** The credentials that a job sees: those of its folders, the nearest first, and below them the global ones. */
public final class Credentials {
    /** A credential by its id: of kind usernamePassword, string or file. The name may be a secret as well. */
    public record Credential(String kind, String username, String secret, boolean usernameSecret) {}

    /** What Jenkins calls a kind, and the class that it wants where that kind is asked for. */
    private static final Map<String,
            String> NAMES = Map.of("usernamePassword", "Username with password", "string", "Secret text", "file", "Secret file");
    private static final Map<String, String> CLASSES = Map.of(
            "usernamePassword", "com.cloudbees.plugins.credentials.common.StandardUsernamePasswordCredentials",
            "string", "org.jenkinsci.plugins.plaincredentials.StringCredentials", "file",
                    "org.jenkinsci.plugins.plaincredentials.FileCredentials");

    private final Levels<Credential> known;
    /** Those of the scope SYSTEM: Jenkins' own, and no job's. */
    private final Map<String, Credential> ofJenkins = new HashMap<>();

    Credentials(int folders) {
        known = new Levels<>(folders);
    }

    void read(int level, Object entry) {
        Yaml.map(entry).forEach((kind, given) -> {
            String secret = Yaml.text(given, kind.equals("usernamePassword") ? "password" : kind.equals("file") ? "secretBytes" : "secret");
            Credential read = new Credential(
                    String.valueOf(kind), Yaml.text(given, "username"), secret, Yaml.flag(given, "usernameSecret", false));
            if (level == 0 && "SYSTEM".equals(Yaml.text(given, "scope"))) {
                ofJenkins.put(Yaml.text(given, "id"), read);
            } else {
                known.put(level, Yaml.text(given, "id"), read);
            }
        });
    }

    /** The secret text that Jenkins itself uses by that id, or null. */
    String ofJenkins(String id) {
        Credential found = ofJenkins.get(id);
        return found == null || !found.kind().equals("string") ? null : found.secret();
    }

    public Credential get(String id, String kind) throws CredentialNotFoundException {
        if (id == null) {
            throw new NullPointerException();
        }
        Credential found = known.nearest(id);
        if (found == null) {
            throw new CredentialNotFoundException("Could not find credentials entry with ID '" + id + "'");
        }
        if (!found.kind().equals(kind)) {
            throw new CredentialNotFoundException("Credentials '" + id + "' is of type '" + NAMES.getOrDefault(found.kind(), found.kind())
                    + "' where '" + CLASSES.getOrDefault(kind, kind) + "' was expected");
        }
        return found;
    }
}
