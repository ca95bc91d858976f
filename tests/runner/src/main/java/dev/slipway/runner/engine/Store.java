package dev.slipway.runner.engine;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Properties;

/** The builds of a job on disk: HOME/jobs/JOB/N. */
public final class Store {
    private final String job;
    private final Path root;
    private final int number;
    private final Path directory;
    private final long started = System.currentTimeMillis();
    private final String url;

    public Store(Path home, String job, String jenkinsUrl) throws IOException {
        this.job = job;
        root = home.resolve("jobs").resolve(job);
        Files.createDirectories(root);
        Path next = root.resolve("nextBuildNumber");
        number = Files.exists(next) ? Integer.parseInt(Files.readString(next).strip()) : 1;
        Files.writeString(next, String.valueOf(number + 1));
        directory = root.resolve(String.valueOf(number));
        Files.createDirectories(directory);
        url = jenkinsUrl + "job/" + job + "/" + number + "/";
    }

    public Path directory() {
        return directory;
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

    public Map<String, String> environment() {
        Map<String, String> own = new LinkedHashMap<>();
        own.put("BUILD_NUMBER", String.valueOf(number));
        own.put("BUILD_ID", String.valueOf(number));
        own.put("BUILD_DISPLAY_NAME", "#" + number);
        own.put("JOB_NAME", job);
        own.put("JOB_BASE_NAME", job);
        own.put("BUILD_TAG", "jenkins-" + job + "-" + number);
        own.put("BUILD_URL", url);
        return own;
    }

    /** The commit of the last build, or of the last that succeeded; null where there is none. */
    public String previousCommit(boolean successful) throws IOException {
        for (int n = number - 1; n > 0; n--) {
            Path file = root.resolve(String.valueOf(n)).resolve("build.properties");
            if (!Files.exists(file)) {
                continue;
            }
            Properties build = new Properties();
            try (var in = Files.newBufferedReader(file)) {
                build.load(in);
            }
            if (build.getProperty("commit") != null && (!successful || "SUCCESS".equals(build.getProperty("result")))) {
                return build.getProperty("commit");
            }
        }
        return null;
    }


    void finished(Build build) {
        Properties properties = new Properties();
        properties.setProperty("result", build.result.name());
        if (build.description != null) {
            properties.setProperty("description", build.description);
        }
        if (build.source != null && build.source.commit() != null) {
            properties.setProperty("commit", build.source.commit());
        }
        try (var out = Files.newBufferedWriter(directory.resolve("build.properties"))) {
            properties.store(out, null);
        } catch (IOException lost) {
            build.console.line("runner: the build cannot be recorded: " + lost.getMessage());
        }
    }
}
