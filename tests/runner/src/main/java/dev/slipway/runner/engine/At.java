package dev.slipway.runner.engine;

import java.util.HashMap;
import java.util.Map;

/** What happens to the build when a step, by its number, has begun: --at N=fail|abort|timeout|kill|run:COMMAND */
public final class At {
    /** The kinds of what may happen. */
    public enum Kind { FAIL, ABORT, TIMEOUT, KILL, RUN }

    /** One that is to happen; the command is for RUN alone. */
    public record Action(Kind kind, String command) {}

    private final Map<Integer, Action> actions = new HashMap<>();

    public void add(String text) {
        int equals = text.indexOf('=');
        if (equals < 1 || !text.substring(0, equals).matches("[1-9][0-9]*")) {
            throw new IllegalArgumentException("--at " + text + " is not of the form STEP=ACTION, such as 12=abort");
        }
        String what = text.substring(equals + 1);
        Action action = what.startsWith("run:") ? new Action(Kind.RUN, what.substring(4)) : switch (what) {
            case "fail" -> new Action(Kind.FAIL, null);
            case "abort" -> new Action(Kind.ABORT, null);
            case "timeout" -> new Action(Kind.TIMEOUT, null);
            case "kill" -> new Action(Kind.KILL, null);
            default -> throw new IllegalArgumentException("--at " + text + " is none of fail, abort, timeout, kill, run:COMMAND");
        };
        actions.put(Integer.valueOf(text.substring(0, equals)), action);
    }

    /** Null where nothing is to happen. */
    Action of(int step) {
        return actions.get(step);
    }
}
