package dev.slipway.runner.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The builds of a job on disk. */
class StoreTest {
    @TempDir
    Path home;

    private Path builds;

    @BeforeEach
    void place() {
        builds = home.resolve("jobs").resolve("job");
    }

    private void ended(int number, String result, String commit) throws IOException {
        Path build = Files.createDirectories(builds.resolve(String.valueOf(number)));
        Files.writeString(build.resolve("build.properties"), "result=" + result + "\ncommit=" + commit + "\n");
    }

    @Test
    void numbersCountUpEachJobItsOwn() throws Exception {
        assertEquals(1, Store.next(home, null, "job", "http://j/").number());
        assertEquals(2, Store.next(home, null, "job", "http://j/").number());
        assertEquals(1, Store.next(home, null, "other", "http://j/").number());
        assertEquals(List.of(2, 1), Store.numbers(builds));
    }

    @Test
    void aBuildHasOneProcess() throws Exception {
        Store first = Store.next(home, null, "job", "http://j/");
        assertTrue(Store.runs(first.directory()));
        assertThrows(Exception.class, () -> Store.existing(home, null, "job", 1, "http://j/"));
    }

    @Test
    void whatHasAResultRunsNoMore() throws Exception {
        Store first = Store.next(home, null, "job", "http://j/");
        Files.writeString(first.directory().resolve("build.properties"), "result=SUCCESS\n");
        assertFalse(Store.runs(first.directory()));
    }

    @Test
    void theUnfinishedOneIsFound() throws IOException {
        ended(1, "SUCCESS", "a");
        for (int number : List.of(2, 3)) {
            Files.writeString(Files.createDirectories(builds.resolve(String.valueOf(number))).resolve("program"), "");
        }
        ended(3, "FAILURE", "b");
        assertEquals(2, Store.lastUnfinished(builds), "3 has ended");
        ended(2, "ABORTED", "b");
        assertEquals(0, Store.lastUnfinished(builds));
    }

    @Test
    void previousCommits() throws Exception {
        assertNull(new Store(home, null, "job", 1, "http://j/").previousCommit(false));
        ended(1, "SUCCESS", "good");
        ended(2, "FAILURE", "bad");
        Store third = new Store(home, null, "job", 3, "http://j/");
        assertEquals("bad", third.previousCommit(false));
        assertEquals("good", third.previousCommit(true));
        assertEquals("http://j/job/job/3/", third.url());
    }

    @Test
    void afterAKillOnlyTheStepsThatTheProgramKnows() throws Exception {
        Store store = Store.next(home, null, "job", "http://j/");
        Path steps = store.directory().resolve("steps");
        Files.writeString(steps, "1\t\tnode\t\n2\t\tsh\t\n3\t\techo\t\n");
        store.forgetStepsAfter(2);
        assertEquals(List.of("1\t\tnode\t", "2\t\tsh\t"), Files.readAllLines(steps));
    }
}
