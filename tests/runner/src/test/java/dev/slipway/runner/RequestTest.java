package dev.slipway.runner;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import hudson.model.Result;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What --request asks of a build that runs, in whichever process. */
class RequestTest {
    private static final String ASKS = """
            def who = input(id: 'go', message: 'Go on?', submitterParameter: 'who', parameters: [string(name: 'tag', defaultValue: 'none')])
            echo "=> ${who.tag} by ${who.who}"
            """;

    @TempDir
    Path folder;

    private Played job;

    private Played.Begun waiting() throws Exception {
        job = new Played(folder, ASKS);
        Played.Begun build = job.begin("--answer", "wait");
        build.until("Input requested");
        return build;
    }

    @Test
    void proceedsWithTheFormsValues() throws Exception {
        Played.Begun build = waiting();
        job.request("input go proceed", "--param", "tag=1.2", "--user", "carol");
        assertEquals(Result.SUCCESS, build.result());
        assertTrue(build.console().contains("=> 1.2 by carol"), build.console());
    }

    @Test
    void proceedsWithTheDefaults() throws Exception {
        Played.Begun build = waiting();
        job.request("input go proceed");
        assertEquals(Result.SUCCESS, build.result());
        assertTrue(build.console().contains("=> none by admin"), build.console());
    }

    @Test
    void isRejected() throws Exception {
        Played.Begun build = waiting();
        job.request("input go abort", "--user", "carol");
        assertEquals(Result.ABORTED, build.result());
        assertTrue(build.console().contains("Rejected by carol"), build.console());
    }

    @Test
    void isStopped() throws Exception {
        Played.Begun build = waiting();
        job.request("stop", "--user", "carol");
        assertEquals(Result.ABORTED, build.result());
        assertTrue(build.console().contains("Aborted by carol"), build.console());
    }

    @Test
    void saysWhenNothingWaitsForIt() throws Exception {
        Played.Begun build = waiting();
        job.request("input other proceed");
        build.until("nothing waits for");
        job.request("stop");
        assertEquals(Result.ABORTED, build.result());
    }

    @Test
    void needsABuildAndASense() throws Exception {
        Played.Begun build = waiting();
        for (String wrong : List.of("explode", "stop now", "input go", "input go maybe")) {
            assertThrows(IllegalArgumentException.class, () -> job.request(wrong), wrong);
        }
        job.request("stop");
        build.result();
        assertThrows(IllegalArgumentException.class, () -> job.request("stop"), "it has ended");
    }
}
