package dev.slipway.runner.engine;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import org.yaml.snakeyaml.Yaml;

/**
 * What the builds of a home share, whichever processes they run in: each job's
 * next number, whether its builds may run side by side, the milestones they
 * have passed, the locks they hold or wait for. One file, HOME/shared.yaml,
 * changed under a lock on a file beside it.
 */
public final class Jobs {
    private static final ReentrantLock IN_THIS_PROCESS = new ReentrantLock();

    private final Path home;
    private final String job;

    public Jobs(Path home, String job) {
        this.home = home;
        this.job = job;
    }

    private interface Change<T> {
        T in(Map<String, Object> all) throws IOException;
    }

    private <T> T change(Change<T> change) throws IOException {
        Files.createDirectories(home);
        IN_THIS_PROCESS.lock();
        try (FileChannel channel = FileChannel.open(home.resolve("shared.lock"), StandardOpenOption.CREATE,
                StandardOpenOption.WRITE); var held = channel.lock()) {
            Path file = home.resolve("shared.yaml");
            Map<String, Object> all = Files.exists(file) ? new Yaml().load(Files.readString(file)) : new LinkedHashMap<>();
            T answer = change.in(all);
            Path next = home.resolve("shared.yaml.next");
            Files.writeString(next, new Yaml().dump(all));
            Files.move(next, file, StandardCopyOption.ATOMIC_MOVE);
            return answer;
        } finally {
            IN_THIS_PROCESS.unlock();
        }
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> map(Map<String, Object> in, String name) {
        return (Map<String, Object>) in.computeIfAbsent(name, none -> new LinkedHashMap<String, Object>());
    }

    private Map<String, Object> mine(Map<String, Object> all) {
        return map(map(all, "jobs"), job);
    }

    private Path build(String ofJob, int number) {
        return home.resolve("jobs").resolve(ofJob).resolve(String.valueOf(number));
    }

    private List<Integer> running() throws IOException {
        List<Integer> found = new ArrayList<>();
        for (int each : Store.numbers(home.resolve("jobs").resolve(job))) {
            if (Store.runs(build(job, each))) {
                found.add(each);
            }
        }
        return found;
    }

    /** The next build's number; waits while the job wants one build at a time, or stops the older one. */
    int nextNumber() throws IOException, InterruptedException {
        while (true) {
            Integer number = change(all -> {
                Map<String, Object> mine = mine(all);
                List<Integer> older = running();
                if ("queue".equals(JobProperties.get(mine, "disableConcurrentBuilds")) && !older.isEmpty()) {
                    return null;
                }
                int next = (int) mine.getOrDefault("next", 1);
                mine.put("next", next + 1);
                if ("abortPrevious".equals(JobProperties.get(mine, "disableConcurrentBuilds"))) {
                    for (int each : older) {
                        Requests.send(build(job, each), "superseded #" + next, Map.of());
                    }
                }
                // Made here: whoever comes next finds it running.
                Files.createDirectories(build(job, next));
                return next;
            });
            if (number != null) {
                return number;
            }
            TimeUnit.MILLISECONDS.sleep(100);
        }
    }

    /** What the job has of its own, unless it has had a build before. */
    void begin(String xml) throws IOException {
        change(all -> {
            JobProperties.begin(mine(all), xml);
            return null;
        });
    }

    /** From properties(...): they replace those that the step set before. */
    public void configure(Map<String, Object> properties) throws IOException {
        change(all -> {
            JobProperties.replace(mine(all), properties);
            return null;
        });
    }

    /** Whether the job has a trigger of that kind: cron, upstream. */
    boolean hasTrigger(String kind) throws IOException {
        return change(all -> JobProperties.get(mine(all), "pipelineTriggers") instanceof List<?> triggers && triggers.contains(kind));
    }

    /** The parameters that the job declares now. */
    @SuppressWarnings("unchecked")
    public List<Parameter> parameters() throws IOException {
        return change(all -> JobProperties.get(mine(all), "parameters") instanceof List<?> list
                ? list.stream().map(each -> Parameter.of((Map<String, Object>) each)).toList() : List.of());
    }

    /**
     * Passes a milestone. Answers the newer build that passed it before, or
     * null; older builds that wait before it are told that they are superseded.
     * https://plugins.jenkins.io/pipeline-milestone-step/
     */
    public Integer milestone(int number, int ordinal) throws IOException {
        return change(all -> {
            Map<String, Object> passed = map(mine(all), "milestones");
            TreeMap<Integer, Integer> byBuild = new TreeMap<>();
            passed.forEach((each, last) -> byBuild.put(Integer.valueOf(each), (Integer) last));
            for (Map.Entry<Integer, Integer> other : byBuild.tailMap(number, false).entrySet()) {
                if (other.getValue() >= ordinal) {
                    return other.getKey();
                }
            }
            passed.put(String.valueOf(number), ordinal);
            for (Map.Entry<Integer, Integer> other : byBuild.headMap(number).entrySet()) {
                if (other.getValue() < ordinal && Store.runs(build(job, other.getKey()))) {
                    Requests.send(build(job, other.getKey()), "superseded " + job + "#" + number, Map.of());
                }
            }
            return null;
        });
    }

    /** Who holds a lock, as job#number, or null where this build does from now on; it waits in line if it wants to. */
    public String lock(String resource, int number, boolean wait) throws IOException {
        return change(all -> {
            Map<String, Object> lock = map(map(all, "locks"), resource);
            String holder = (String) lock.get("holder");
            String me = job + "#" + number;
            if (holder == null || holder.equals(me) || isDead(holder)) {
                lock.put("holder", me);
                return null;
            }
            if (wait) {
                waiting(lock).add(me);
            }
            return holder;
        });
    }

    /** In a new process: whether this build holds it, or has been given it meanwhile. */
    public boolean holds(String resource, int number) throws IOException {
        return change(all -> (job + "#" + number).equals(map(map(all, "locks"), resource).get("holder")));
    }

    /** In a new process: whether it still stands in line. */
    public boolean waits(String resource, int number) throws IOException {
        return change(all -> waiting(map(map(all, "locks"), resource)).contains(job + "#" + number));
    }

    /** Gives it back, or stops waiting for it; the first in line gets it and is told. */
    public void unlock(String resource, int number) throws IOException {
        change(all -> {
            String me = job + "#" + number;
            Map<String, Object> locks = map(all, "locks");
            Map<String, Object> lock = map(locks, resource);
            waiting(lock).remove(me);
            if (me.equals(lock.get("holder"))) {
                List<String> line = waiting(lock);
                String next = line.isEmpty() ? null : line.remove(0);
                if (next == null) {
                    locks.remove(resource);
                } else {
                    lock.put("holder", next);
                    Requests.send(folder(next), "lock " + resource.replace(' ', '\u00a0') + " " + job, Map.of());
                }
            }
            return null;
        });
    }

    /** A build whose process was killed holds its locks until it is resumed; one that nobody resumes must not block a new one for ever. */
    private boolean isDead(String holder) throws IOException {
        return !Store.runs(folder(holder));
    }

    private Path folder(String build) {
        int hash = build.lastIndexOf('#');
        return build(build.substring(0, hash), Integer.parseInt(build.substring(hash + 1)));
    }

    @SuppressWarnings("unchecked")
    private static List<String> waiting(Map<String, Object> lock) {
        return (List<String>) lock.computeIfAbsent("waiting", none -> new ArrayList<String>());
    }
}
