package org.jenkinsci.plugins.workflow.libs;

/** Names the libraries that a Jenkinsfile uses; read from its text before it is compiled. */
public @interface Library {
    String[] value();

    boolean changelog() default true;
}
