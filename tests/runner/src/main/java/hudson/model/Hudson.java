package hudson.model;

import jenkins.model.Jenkins;

/** The old name of Jenkins. */
public class Hudson extends Jenkins {
    public static Hudson getInstance() {
        throw new IllegalStateException("there is no Jenkins here");
    }
}
