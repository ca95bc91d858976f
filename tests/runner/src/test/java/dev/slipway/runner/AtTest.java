package dev.slipway.runner;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import hudson.model.Result;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What --at does to a build, at a step in the middle. */
class AtTest {
    // The steps: 1 node, 2 timeout, 3 sh, 4 echo.
    private static final String SCRIPT = """
            try {
                node { timeout(5) { sh 'echo begun; sleep 1; echo ended' } }
            } catch (e) {
                echo "caught ${e.class.simpleName}"
                throw e
            }
            """;

    @TempDir
    Path folder;

    private Played.Begun played(String at) throws Exception {
        return new Played(folder, SCRIPT).begin("--at", at);
    }

    @Test
    void fails() throws Exception {
        Played.Begun build = played("3=fail");
        assertEquals(Result.FAILURE, build.result());
        assertTrue(build.console().contains("caught AbortException"), build.console());
        assertTrue(build.console().contains("ERROR: step 3 was made to fail"), build.console());
        assertFalse(build.console().contains("begun\n"), "the step does nothing");
    }

    @Test
    void aborts() throws Exception {
        Played.Begun build = played("3=abort");
        assertEquals(Result.ABORTED, build.result());
        assertTrue(build.console().contains("Aborted by admin\nSending interrupt signal to process"), build.console());
        assertFalse(build.console().contains("\nended"), build.console());
    }

    @Test
    void runsOutOfTime() throws Exception {
        Played.Begun build = played("3=timeout");
        assertEquals(Result.ABORTED, build.result());
        assertTrue(build.console().contains("Cancelling nested steps due to timeout"), build.console());
        assertTrue(build.console().contains("caught FlowInterruptedException"), build.console());
    }

    @Test
    void hasNoTimeToRunOutOf() throws Exception {
        Played.Begun build = new Played(folder, "sleep 1").begin("--at", "1=timeout");
        assertEquals(Result.SUCCESS, build.result());
        assertTrue(build.console().contains("no timeout is around that step"), build.console());
    }

    @Test
    void runsACommandBesideIt() throws Exception {
        Path made = folder.resolve("made");
        Played.Begun build = played("3=run:echo $STEP $RUNNER > " + made + "; echo said");
        assertEquals(Result.SUCCESS, build.result());
        assertEquals("3 " + ProcessHandle.current().pid(), Files.readString(made).strip());
        assertEquals("said\n", Files.readString(build.runner.build().store.directory().resolve("at-3.log")));
    }

    /** In a process of its own, which ends; the one after it finds the shell still at work. */
    @Test
    void killsTheControllerAndGoesOn() throws Exception {
        List<String> command = new ArrayList<>(List.of(Path.of("run").toAbsolutePath().toString()));
        command.addAll(new Played(folder, SCRIPT).arguments("--restart-at", "3"));
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String console = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), console);
        assertTrue(console.contains("after Jenkins restart"), console);
        assertEquals(1, console.lines().filter(line -> line.equals("begun")).count(), console);
        assertEquals(1, console.lines().filter(line -> line.equals("ended")).count(), console);
        assertTrue(console.contains("Finished: SUCCESS"), console);
    }

    @Test
    void refusesWhatItDoesNotKnow() {
        for (String wrong : List.of("abort", "0=abort", "3=explode", "x=fail")) {
            assertThrows(IllegalArgumentException.class, () -> played(wrong), wrong);
        }
    }
}
