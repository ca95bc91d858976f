package dev.slipway.runner.engine;

import dev.slipway.runner.site.Credentials.Credential;
import dev.slipway.runner.site.Site;
import hudson.AbortException;
import java.io.Serializable;

/** A variable whose value is a credential's: it is looked up when it is used, so that no file of the build holds it. */
public final class CredentialValue implements Serializable {
    private static final long serialVersionUID = 1;

    /** What of a credential. */
    public enum Part { USERNAME, SECRET, BOTH }

    private final String id;
    private final String kind;
    private final Part part;

    /** The kind is the one that is asked for: another one of that id is refused. */
    public CredentialValue(String id, String kind, Part part) {
        this.id = id;
        this.kind = kind;
        this.part = part;
    }

    public boolean secret(Site site) throws AbortException {
        return part != Part.USERNAME || site.credentials.get(id, kind).usernameSecret();
    }

    public String in(Site site) throws AbortException {
        Credential found = site.credentials.get(id, kind);
        return switch (part) {
            case USERNAME -> found.username();
            case SECRET -> found.secret();
            case BOTH -> found.username() + ":" + found.secret();
        };
    }
}
