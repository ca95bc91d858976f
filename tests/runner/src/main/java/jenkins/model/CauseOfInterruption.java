package jenkins.model;

import java.io.Serializable;

/** Why something was stopped. The names of its kinds are those that Jenkins gives. */
public abstract class CauseOfInterruption implements Serializable {
    private static final long serialVersionUID = 1;

    private final String description;

    protected CauseOfInterruption(String description) {
        this.description = description;
    }

    public String getShortDescription() {
        return description;
    }

    /** Two of a kind that say the same are told once. */
    @Override
    public boolean equals(Object other) {
        return other != null && getClass() == other.getClass() && description.equals(((CauseOfInterruption) other).description);
    }

    @Override
    public int hashCode() {
        return description.hashCode();
    }

    /** Somebody pressed the abort button. */
    public static final class UserInterruption extends CauseOfInterruption {
        public UserInterruption(String user) {
            super("Aborted by " + user);
        }
    }

    /** A timeout step ran out. */
    public static final class ExceededTimeout extends CauseOfInterruption {
        public ExceededTimeout() {
            super("Timeout has been exceeded");
        }
    }

    /** An approval was refused, ran out, or its build was stopped. */
    public static final class Rejection extends CauseOfInterruption {
        public Rejection(String user) {
            super("Rejected by " + user);
        }
    }

    /** A newer build has overtaken this one. */
    public static final class CancelledCause extends CauseOfInterruption {
        public CancelledCause(String newer) {
            super("Superseded by " + newer);
        }
    }

    /** A cause of which no two are the same, so that each is told. */
    private abstract static class ToldEachTime extends CauseOfInterruption {
        ToldEachTime(String description) {
            super(description);
        }

        @Override
        public boolean equals(Object other) {
            return this == other;
        }

        @Override
        public int hashCode() {
            return System.identityHashCode(this);
        }
    }

    /** The agent's pod is gone. */
    public static final class RemovedNodeCause extends ToldEachTime {
        private final String node;
        private final String label;

        public RemovedNodeCause(String node, String label) {
            super("Agent was removed");
            this.node = node;
            this.label = label;
        }

        /** The agent that was removed, and what it had been asked for by. */
        public String node() {
            return node;
        }

        public String label() {
            return label;
        }
    }

    /** The pod could not be had. */
    public static final class QueueTaskCancelled extends ToldEachTime {
        public QueueTaskCancelled() {
            super("Queue task was cancelled");
        }
    }

    /** A parallel branch failed, and the others are to end. */
    public static final class FailFastCause extends CauseOfInterruption {
        public FailFastCause(String branch) {
            super("Failed in branch " + branch);
        }
    }
}
