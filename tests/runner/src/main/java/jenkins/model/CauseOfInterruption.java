package jenkins.model;

import java.io.Serializable;

/** Why something was stopped. The names of its kinds are those that Jenkins gives. */
public abstract class CauseOfInterruption implements Serializable {
    public abstract String getShortDescription();

    /** Somebody pressed the abort button. */
    public static final class UserInterruption extends CauseOfInterruption {
        private final String user;

        public UserInterruption(String user) {
            this.user = user;
        }

        @Override
        public String getShortDescription() {
            return "Aborted by " + user;
        }
    }

    /** A timeout step ran out. */
    public static final class ExceededTimeout extends CauseOfInterruption {
        @Override
        public String getShortDescription() {
            return "Timeout has been exceeded";
        }
    }

    /** An approval was refused, ran out, or its build was stopped. */
    public static final class Rejection extends CauseOfInterruption {
        private final String user;

        public Rejection(String user) {
            this.user = user;
        }

        @Override
        public String getShortDescription() {
            return "Rejected by " + user;
        }
    }

    /** The agent's pod is gone. */
    public static final class RemovedNodeCause extends CauseOfInterruption {
        @Override
        public String getShortDescription() {
            return "Agent was removed";
        }
    }

    /** A parallel branch failed, and the others are to end. */
    public static final class FailFastCause extends CauseOfInterruption {
        @Override
        public String getShortDescription() {
            return "Failed in branch";
        }
    }
}
