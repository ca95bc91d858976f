package dev.slipway.runner.engine;

import java.util.PriorityQueue;

/** The build's time: the machine's, and as much ahead of it as was skipped. */
public final class Clock {
    private final PriorityQueue<Timer> timers = new PriorityQueue<>();
    private final State state;
    private long count;

    Clock(State state) {
        this.state = state;
    }

    /** Something that is to happen at a time. */
    public final class Timer implements Comparable<Timer> {
        final long at;
        final Runnable action;
        private final long order = count++;

        private Timer(long at, Runnable action) {
            this.at = at;
            this.action = action;
        }

        public void cancel() {
            timers.remove(this);
        }

        @Override
        public int compareTo(Timer other) {
            return at != other.at ? Long.compare(at, other.at) : Long.compare(order, other.order);
        }
    }

    /** Milliseconds since the epoch. */
    public long now() {
        return System.currentTimeMillis() + state.skipped;
    }

    public Timer at(long time, Runnable action) {
        Timer timer = new Timer(time, action);
        timers.add(timer);
        return timer;
    }

    /** Skips to this time, if it is ahead. */
    public void skipTo(long time) {
        state.skipped += Math.max(0, time - now());
    }

    /** The next timer's time, or null. */
    Long next() {
        return timers.isEmpty() ? null : timers.peek().at;
    }

    Runnable due() {
        return !timers.isEmpty() && timers.peek().at <= now() ? timers.poll().action : null;
    }
}
