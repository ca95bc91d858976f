package org.jenkinsci.plugins.scriptsecurity.sandbox;

/** A call that the sandbox does not allow; the signature is the one that an administrator could approve. */
public final class RejectedAccessException extends SecurityException {
    public RejectedAccessException(String message) {
        super(message);
    }
}
