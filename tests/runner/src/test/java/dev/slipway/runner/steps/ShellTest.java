package dev.slipway.runner.steps;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.slipway.runner.Played;
import hudson.model.Result;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What sh leaves, and what it does with a shell that is lost. */
class ShellTest {
    @TempDir
    Path folder;

    @Test
    void leavesNothingBesideTheWorkspace() throws Exception {
        Played job = new Played(folder, "node { sh 'echo one'; sh returnStatus: true, script: 'exit 3'; sh 'ls $WORKSPACE_TMP | wc -l' }");
        Played.Begun build = job.begin();
        assertEquals(Result.SUCCESS, build.result());
        try (Stream<Path> left = Files.list(Path.of(job.home + "/jobs/job/workspace@tmp"))) {
            assertEquals(0, left.count());
        }
    }

    @Test
    void whatWasPrintedIsShownOnceAndWhole() throws Exception {
        Played.Begun build =
                new Played(folder, "node { sh 'set +x; i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; printf end' }")
                .begin();
        assertEquals(Result.SUCCESS, build.result());
        assertEquals(2000, build.console().lines().filter(line -> line.startsWith("line ")).count());
        assertTrue(build.console().contains("line 1999\nend\n"), "the last line needs no end");
    }

    @Test
    void masksASecretWhereverItIsPrinted() throws Exception {
        Path config = folder.resolve("site.yaml");
        Files.writeString(config, "credentials: {system: {domainCredentials: [{credentials: [{string: {id: token, secret: t0k3n}}]}]}}");
        Played job = new Played(
                folder, "node { withCredentials([string(credentialsId: 'token', variable: 'T')]) { sh 'echo begin-$T-end; echo $T >&2'; echo \"echo ${env.T}\" } }");
        Played.Begun build = job.begin("--config", config.toString());
        assertEquals(Result.SUCCESS, build.result());
        assertFalse(build.console().contains("t0k3n"), build.console());
        assertTrue(build.console().contains("begin-****-end"), build.console());
        assertFalse(Files.readString(build.runner.build().store.directory().resolve("log")).contains("t0k3n"));
    }
}
