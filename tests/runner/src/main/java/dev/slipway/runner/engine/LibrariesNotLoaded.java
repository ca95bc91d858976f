package dev.slipway.runner.engine;

import hudson.AbortException;

/** A library that @Library names cannot be had: the build ends before its first line. */
final class LibrariesNotLoaded extends Exception {
    LibrariesNotLoaded(AbortException why) {
        super("startup failed:\nWorkflowScript: Loading libraries failed\n\n1 error\n", why);
    }

    @Override
    public String toString() {
        return "org.codehaus.groovy.control.MultipleCompilationErrorsException: " + getMessage();
    }
}
