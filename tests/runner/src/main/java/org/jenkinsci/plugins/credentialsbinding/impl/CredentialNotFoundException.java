package org.jenkinsci.plugins.credentialsbinding.impl;

import hudson.AbortException;

/** No credential of that id and kind is to be seen from the job. */
public final class CredentialNotFoundException extends AbortException {
    public CredentialNotFoundException(String message) {
        super(message);
    }
}
