package dev.slipway.runner.engine;

import dev.slipway.runner.site.Site;
import hudson.AbortException;
import java.io.Serializable;

/** A variable whose value is a credential's: it is looked up when it is used, so that no file of the build holds it. */
public final class CredentialValue implements Serializable {
    private static final long serialVersionUID = 1;

    /** What of a credential. */
    public enum Part { USERNAME, SECRET, BOTH }

    private final String id;
    private final Part part;

    public CredentialValue(String id, Part part) {
        this.id = id;
        this.part = part;
    }

    public boolean secret() {
        return part != Part.USERNAME;
    }

    public String in(Site site) throws AbortException {
        Site.Credential found = site.credential(id);
        return switch (part) {
            case USERNAME -> found.username();
            case SECRET -> found.secret();
            case BOTH -> found.username() + ":" + found.secret();
        };
    }
}
