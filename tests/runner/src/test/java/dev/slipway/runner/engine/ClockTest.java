package dev.slipway.runner.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The build's time. */
class ClockTest {
    private final State state = new State();
    private final Clock clock = new Clock(state);

    @Test
    void timersInTheirOrderAndOnlyWhenDue() {
        List<String> rung = new ArrayList<>();
        long now = clock.now();
        clock.at(now + 60_000, () -> rung.add("later"));
        clock.at(now + 30_000, () -> rung.add("first"));
        clock.at(now + 60_000, () -> rung.add("after it"));
        assertNull(clock.due());
        clock.skipTo(clock.next());
        clock.due().run();
        assertNull(clock.due());
        clock.skipTo(clock.next());
        clock.due().run();
        clock.due().run();
        assertEquals(List.of("first", "later", "after it"), rung);
        assertNull(clock.next());
    }

    @Test
    void whatIsCancelledNeverRings() {
        clock.at(clock.now(), () -> {}).cancel();
        assertNull(clock.due());
    }

    @Test
    void whatWasSkippedStaysSkippedAndNothingGoesBack() {
        long before = clock.now();
        clock.skipTo(before + 3_600_000);
        clock.skipTo(before);
        assertTrue(new Clock(state).now() >= before + 3_600_000, "a new process goes on with the build's time");
    }
}
