package dev.slipway.runner.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.slipway.runner.Played;
import hudson.model.Result;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Time-outs beyond those of the conformance cases; the time is virtual. */
class TimeoutTest {
    @TempDir
    Path folder;

    private Played.Begun played(String script) throws Exception {
        return new Played(folder, script).begin();
    }

    @Test
    void theInnermostEndsFirst() throws Exception {
        Played.Begun build =
                played("timeout(time: 2, unit: 'HOURS') { try { timeout(time: 1, unit: 'HOURS') { sleep time: 3, unit: 'HOURS' } } catch (e) { echo 'inner' }; sleep 60; echo 'after' }");
        assertEquals(Result.SUCCESS, build.result());
        assertTrue(build.console().indexOf("inner\n") > 0 && build.console().indexOf("after\n") > build.console().indexOf("inner\n"),
                build.console());
    }

    @Test
    void theOuterEndsTheInnerToo() throws Exception {
        Played.Begun build = played("timeout(time: 1, unit: 'HOURS') { timeout(time: 2, unit: 'HOURS') { sleep time: 3, unit: 'HOURS' } }");
        assertEquals(Result.ABORTED, build.result());
        assertEquals(1, build.console().lines().filter("Cancelling nested steps due to timeout"::equals).count(), build.console());
    }

    /** A clean-up that lasts longer than the grace is left behind. */
    @Test
    void theBodyHasAMinute() throws Exception {
        Played.Begun build =
                played("timeout(time: 1, unit: 'HOURS') { try { sleep time: 2, unit: 'HOURS' } finally { sleep 90; echo 'never' } }");
        assertEquals(Result.ABORTED, build.result());
        assertTrue(build.console().contains("terminating with extreme prejudice"), build.console());
        assertTrue(!build.console().contains("never\n"), build.console());
    }

    @Test
    void aShortCleanUpHasItsTime() throws Exception {
        Played.Begun build =
                played("timeout(time: 1, unit: 'HOURS') { try { sleep time: 2, unit: 'HOURS' } finally { sleep 30; echo 'cleaned' } }");
        assertEquals(Result.ABORTED, build.result());
        assertTrue(build.console().contains("cleaned\n"), build.console());
    }
}
