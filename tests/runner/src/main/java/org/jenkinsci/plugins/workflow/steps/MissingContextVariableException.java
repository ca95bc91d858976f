package org.jenkinsci.plugins.workflow.steps;

/** A step stands where something that it needs is not around it. */
public final class MissingContextVariableException extends Exception {
    public MissingContextVariableException(String type, String step) {
        super("Required context class " + type + " is missing\nPerhaps you forgot to surround the " + step
                + " step with a step that provides this, such as: node");
    }
}
