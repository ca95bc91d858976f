package dev.slipway.runner.engine;

import groovy.json.JsonOutput;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Stream;

/** One build on disk, HOME/jobs/JOB/N, and the builds of its job beside it. */
public final class Store {
    private static final String RESULT = "build.properties";
    private static final String CAUSES = "causes";

    private final Path home;
    private final String job;
    private final Path root;
    private final int number;
    private final Path directory;
    /** With the folder in front. */
    private final String fullName;
    private final String jenkinsUrl;
    private final long started;
    private final FileLock alive;

    Store(Path home, String folder, String job, int number, String jenkinsUrl) throws IOException {
        this.home = home;
        this.job = job;
        this.fullName = folder == null ? job : folder + "/" + job;
        this.number = number;
        root = home.resolve("jobs").resolve(job);
        directory = Files.createDirectories(root.resolve(String.valueOf(number)));
        this.jenkinsUrl = jenkinsUrl;
        Path begin = directory.resolve("started");
        if (!Files.exists(begin)) {
            Files.writeString(begin, String.valueOf(System.currentTimeMillis()));
        }
        started = Long.parseLong(Files.readString(begin));
        alive = FileChannel.open(directory.resolve("running"), StandardOpenOption.CREATE, StandardOpenOption.WRITE).tryLock();
        if (alive == null) {
            throw new IllegalArgumentException("build " + number + " of " + job + " runs already");
        }
    }

    /** The job's next build, once it may start. */
    public static Store next(Path home, String folder, String job, String jenkinsUrl) throws IOException, InterruptedException {
        Jobs jobs = new Jobs(home, job);
        return new Store(home, folder, job, jobs.nextNumber(), jenkinsUrl);
    }

    /** A build that an earlier process left unfinished. */
    public static Store existing(Path home, String folder, String job, int number, String jenkinsUrl) throws IOException {
        return new Store(home, folder, job, number, jenkinsUrl);
    }

    static int lastUnfinished(Path root) throws IOException {
        return numbers(root).stream()
                .filter(each -> !Files.exists(root.resolve(each + "/" + RESULT)) && Files.exists(root.resolve(each + "/program")))
                .findFirst().orElse(0);
    }

    /** The builds of a job, the newest first. */
    static List<Integer> numbers(Path root) throws IOException {
        if (!Files.isDirectory(root)) {
            return List.of();
        }
        try (Stream<Path> all = Files.list(root)) {
            return all.map(each -> each.getFileName().toString()).filter(name -> name.matches("[0-9]+")).map(Integer::valueOf)
                    .sorted((a, b) -> b - a).toList();
        }
    }

    /** Whether a process runs this build now. */
    static boolean runs(Path build) throws IOException {
        Path file = build.resolve("running");
        if (!Files.exists(file) || Files.exists(build.resolve(RESULT))) {
            return false;
        }
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE); FileLock free = channel.tryLock()) {
            return free == null;
        } catch (OverlappingFileLockException here) {
            return true;
        }
    }

    public Path directory() {
        return directory;
    }

    public Path home() {
        return home;
    }

    public Path program() {
        return directory.resolve("program");
    }

    public String job() {
        return job;
    }

    public int number() {
        return number;
    }

    public long started() {
        return started;
    }

    /** The build's address below Jenkins' own. */
    public String path() {
        return "job/" + fullName.replace("/", "/job/") + "/" + number + "/";
    }

    public String url() {
        return url(fullName, number);
    }

    /** The address of a build. */
    public String url(String project, int build) {
        return jenkinsUrl + "job/" + project.replace("/", "/job/") + "/" + build + "/";
    }

    public String fullName() {
        return fullName;
    }

    public Map<String, String> environment() {
        Map<String, String> own = new LinkedHashMap<>();
        own.put("BUILD_NUMBER", String.valueOf(number));
        own.put("BUILD_ID", String.valueOf(number));
        own.put("BUILD_DISPLAY_NAME", "#" + number);
        own.put("JOB_NAME", fullName);
        own.put("JOB_BASE_NAME", job);
        own.put("BUILD_TAG", "jenkins-" + fullName.replace('/', '-') + "-" + number);
        own.put("BUILD_URL", url());
        return own;
    }

    /** A line in the build's file steps: number, stage, step, label or what it is about. */
    void step(Step step) {
        String about = step.arguments().text("label", false);
        if (about == null && step.arguments().get("", true) != null) {
            about = step.arguments().text("", true);
        }
        if (about == null && !step.arguments().named().isEmpty() && !step.arguments().step().equals("parallel")) {
            about = String.valueOf(step.arguments().named().values().iterator().next());
        }
        about = about == null ? "" : about.lines().findFirst().orElse("").strip();
        String line = String.join(
                "\t", String.valueOf(step.number()), step.context().stage == null ? "" : step.context().stage, step.arguments().step(),
                about.replace('\t', ' ').substring(0, Math.min(80, about.length()))) + "\n";
        try {
            Files.writeString(directory.resolve("steps"), line, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        } catch (IOException lost) {
            throw new java.io.UncheckedIOException("writing the list of steps", lost);
        }
    }

    /** The folder of another build of the job. */
    Path other(int build) {
        return root.resolve(String.valueOf(build));
    }

    /** After a kill: what began later than the program on disk knows will begin again. */
    void forgetStepsAfter(int last) throws IOException {
        Path file = directory.resolve("steps");
        if (Files.exists(file)) {
            List<String> known = Files.readAllLines(file).stream()
                    .filter(line -> Integer.parseInt(line.substring(0, line.indexOf('\t'))) <= last).toList();
            Files.write(file, known);
        }
    }

    /** Who or what began it, as getBuildCauses tells it. */
    void began(List<Map<String, Object>> causes) throws IOException {
        Files.writeString(directory.resolve(CAUSES), JsonOutput.toJson(causes));
    }

    /** What is recorded of any build of this home, or null where there is none. */
    public Properties of(String project, int build) {
        Path folder = home.resolve("jobs").resolve(project.substring(project.lastIndexOf('/') + 1)).resolve(String.valueOf(build));
        if (!Files.isDirectory(folder)) {
            return null;
        }
        Properties found = new Properties();
        try {
            if (Files.exists(folder.resolve(RESULT))) {
                try (var in = Files.newBufferedReader(folder.resolve(RESULT))) {
                    found.load(in);
                }
            }
            for (String each : List.of("started", CAUSES)) {
                if (Files.exists(folder.resolve(each))) {
                    found.setProperty(each, Files.readString(folder.resolve(each)));
                }
            }
        } catch (IOException lost) {
            throw new java.io.UncheckedIOException("reading build " + build + " of " + project, lost);
        }
        found.setProperty("fullName", project);
        return found;
    }

    /** The builds of a job before one, the newest first, by their numbers. */
    public Map<Integer, Properties> earlier(String project, int before) {
        Map<Integer, Properties> found = new LinkedHashMap<>();
        try {
            for (int each : numbers(home.resolve("jobs").resolve(project.substring(project.lastIndexOf('/') + 1)))) {
                Properties build = each < before ? of(project, each) : null;
                if (build != null) {
                    found.put(each, build);
                }
            }
        } catch (IOException lost) {
            throw new java.io.UncheckedIOException("reading the builds of " + project, lost);
        }
        return found;
    }

    /** The commit of the last build, or of the last that succeeded; null where there is none. */
    public String previousCommit(boolean successful) {
        return earlier(fullName, number).values().stream()
                .filter(build -> build.getProperty("commit") != null && (!successful || "SUCCESS".equals(build.getProperty("result"))))
                .map(build -> build.getProperty("commit")).findFirst().orElse(null);
    }

    void finished(Build build) {
        Properties properties = new Properties();
        properties.setProperty("result", build.state.result.name());
        properties.setProperty("duration", String.valueOf(build.clock.now() - started));
        properties.setProperty("environment", JsonOutput.toJson(build.state.environment));
        properties.setProperty("keepLog", String.valueOf(build.state.keepLog));
        if (build.state.description != null) {
            properties.setProperty("description", build.state.description);
        }
        if (build.state.displayName != null) {
            properties.setProperty("displayName", build.state.displayName);
        }
        if (build.source != null && build.source.commit() != null) {
            properties.setProperty("commit", build.source.commit());
        }
        Path next = directory.resolve(RESULT + ".next");
        try {
            try (var out = Files.newBufferedWriter(next)) {
                properties.store(out, null);
            }
            Files.move(next, directory.resolve(RESULT), java.nio.file.StandardCopyOption.ATOMIC_MOVE);
            alive.channel().close();
        } catch (IOException lost) {
            build.console.line("runner: the build cannot be recorded: " + lost.getMessage());
        }
    }

    /** As a machine that loses its power would. */
    void killThisProcess() {
        try {
            new ProcessBuilder("kill", "-9", String.valueOf(ProcessHandle.current().pid())).start().waitFor();
        } catch (IOException | InterruptedException problem) {
            throw new IllegalStateException("killing this process", problem);
        }
    }
}
