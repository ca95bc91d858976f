package dev.slipway.runner.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What builds share: locks and milestones. */
class JobsTest {
    @TempDir
    Path home;

    private List<String> requests(Store build) throws Exception {
        try (Stream<Path> all = Files.list(Files.createDirectories(build.directory().resolve("requests")))) {
            return all.map(file -> {
                try {
                    return Files.readString(file).strip();
                } catch (java.io.IOException lost) {
                    throw new java.io.UncheckedIOException(lost);
                }
            }).toList();
        }
    }

    @Test
    void aLockHasOneHolderAndALine() throws Exception {
        Jobs jobs = new Jobs(home, "job");
        Store first = Store.next(home, null, "job", "http://j/");
        Store second = Store.next(home, null, "job", "http://j/");
        Store.next(home, null, "job", "http://j/");
        assertNull(jobs.lock("db", 1, true));
        assertEquals("job#1", jobs.lock("db", 2, true));
        assertEquals("job#1", jobs.lock("db", 3, false));
        assertTrue(jobs.waits("db", 2));
        assertFalse(jobs.waits("db", 3), "it did not want to wait");
        jobs.unlock("db", 1);
        assertEquals(1, first.number(), "a build that nobody holds is dead");
        assertTrue(jobs.holds("db", 2));
        assertEquals(List.of("lock db job"), requests(second));
    }

    @Test
    void theLockOfADeadBuildIsTaken() throws Exception {
        Jobs jobs = new Jobs(home, "job");
        Files.createDirectories(home.resolve("jobs/job/1"));
        Store.next(home, null, "other", "http://j/");
        assertNull(jobs.lock("db", 1, true));
        assertNull(new Jobs(home, "other").lock("db", 1, true), "no process runs job#1");
    }

    @Test
    void whoComesTooLateAtAMilestone() throws Exception {
        Jobs jobs = new Jobs(home, "job");
        Store first = Store.next(home, null, "job", "http://j/");
        Store.next(home, null, "job", "http://j/");
        assertNull(jobs.milestone(1, 1));
        assertNull(jobs.milestone(2, 2));
        assertEquals(List.of("superseded job#2"), requests(first));
        assertEquals(2, jobs.milestone(1, 2));
    }

    @Test
    void propertiesReplaceThoseThatTheStepSetBefore() throws Exception {
        Jobs jobs = new Jobs(home, "job");
        jobs.begin("<hudson.model.ParametersDefinitionProperty><parameterDefinitions><hudson.model.BooleanParameterDefinition><name>force</name>"
                + "<defaultValue>true</defaultValue></hudson.model.BooleanParameterDefinition></parameterDefinitions></hudson.model.ParametersDefinitionProperty>");
        assertEquals(List.of(true), jobs.parameters().stream().map(each -> each.value(null)).toList());
        jobs.configure(Map.of("disableConcurrentBuilds", "queue", "pipelineTriggers", List.of("cron")));
        assertTrue(jobs.hasTrigger("cron"));
        jobs.configure(Map.of());
        assertFalse(jobs.hasTrigger("cron"));
        assertEquals(List.of("force"), jobs.parameters().stream().map(Parameter::name).toList(), "the job's own stay");
        jobs.configure(Map.of("parameters", List.of(new Parameter("choice", "size", null, List.of("small", "large")).map())));
        assertEquals(List.of("small"), jobs.parameters().stream().map(each -> each.value(null)).toList(), "of a kind there is one");
        jobs.configure(Map.of());
        assertEquals(List.of(), jobs.parameters());
    }
}
