package org.jenkinsci.plugins.workflow.steps;

import hudson.AbortException;

/** A step that was at work when the controller stopped, and cannot go on: its work may be half done. */
public final class SynchronousResumeNotSupportedException extends AbortException {
    public SynchronousResumeNotSupportedException(String step) {
        super("The " + step + " step cannot be resumed after a controller restart. In Scripted syntax, you may wrap its containing node block within "
                + "retry(conditions: [nonresumable()], count: 2) {...}, or, in Declarative syntax, use the retries option to an agent directive.");
    }
}
