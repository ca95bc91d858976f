package dev.slipway.runner.engine;

import dev.slipway.runner.site.Answers;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** What the command line says; it is kept with the build, so that --resume needs to say no more than which build. */
public final class Options {
    public Path home = Path.of(System.getProperty("user.home"), ".runner");
    public String job;
    public int number;
    public String scm;
    public String branch = "Staging";
    public String path = "Jenkinsfile";
    public String jenkinsfile;
    public String user = "admin";
    public String agentImage = "jenkins/inbound-agent:latest";
    public String localPath;
    public boolean cloud;
    public boolean localPods;
    public boolean untrusted;
    public boolean sandbox;
    public boolean virtualTime;
    public boolean heldClock;
    public boolean resume;
    public long away;
    public long agentTimeout;
    public final List<Path> configs = new ArrayList<>();
    public String request;
    public String folder;
    public String cause;
    public String jobXml;
    public int replay;
    public final Set<String> absent = new LinkedHashSet<>();
    public String tell;
    public final Answers answers = new Answers();
    public final At at = new At();
    public final Map<String, String> environment = new LinkedHashMap<>();
    public final Map<String, String> libraries = new LinkedHashMap<>();
    /** In a replay: the texts that classes of untrusted libraries have, by their names. */
    final Map<String, String> replacements = new LinkedHashMap<>();
    public final Map<String, String> parameters = new LinkedHashMap<>();
    /** Those that the replay changes: files with their texts. */
    final Map<String, String> replaced = new LinkedHashMap<>();
    private final List<String> given = new ArrayList<>();

    /** Reads them; what a resumed build was started with comes below what is given now. */
    public static Options parse(List<String> arguments) throws IOException {
        Options options = new Options();
        options.read(arguments);
        if (options.resume) {
            Path job = options.home.resolve("jobs").resolve(options.jobName());
            if (options.number == 0) {
                options.number = Store.lastUnfinished(job);
            }
            Path kept = job.resolve(String.valueOf(options.number)).resolve("options");
            if (options.number == 0 || !Files.exists(kept)) {
                throw new IllegalArgumentException(
                        "--resume: there is no unfinished build of " + options.jobName() + " in " + options.home);
            }
            Options both = new Options();
            both.read(List.of(Files.readString(kept).split("\0")));
            both.heldClock = false;
            both.read(arguments);
            both.number = options.number;
            return both;
        }
        if (options.replay == 0 && !options.replaced.isEmpty()) {
            throw new IllegalArgumentException("--replace is for a replay: give --replay N");
        }
        boolean script = (options.scm == null) != (options.jenkinsfile == null);
        if (options.request == null && !script && (options.replay == 0 || options.scm != null)) {
            throw new IllegalArgumentException("give either --scm URL or --jenkinsfile FILE");
        }
        return options;
    }

    /** A replay has the parameters of the build, its repository, and its untrusted libraries' files but for those that are replaced. */
    void replays(Path build) throws IOException {
        if (!Files.exists(build.resolve("options"))) {
            throw new IllegalArgumentException("--replay " + replay + ": there is no such build of " + jobName());
        }
        Options original = new Options();
        original.read(List.of(Files.readString(build.resolve("options")).split("\0")));
        if (original.replay != 0) {
            original.replays(build.resolveSibling(String.valueOf(original.replay)));
        }
        original.parameters.forEach(parameters::putIfAbsent);
        if (scm == null && original.scm != null) {
            scm = original.scm;
            branch = original.branch;
            path = original.path;
        }
        replacements.putAll(LoadedLibrary.replaceable(build));
        for (Map.Entry<String, String> each : replaced.entrySet()) {
            if (!replacements.containsKey(each.getKey())) {
                throw new IllegalArgumentException(
                        "--replace " + each.getKey() + ": Unrecognized script name among " + replacements.keySet());
            }
            replacements.put(each.getKey(), Files.readString(Path.of(each.getValue())));
        }
    }

    private void read(List<String> arguments) {
        given.addAll(arguments);
        for (int i = 0; i < arguments.size(); i++) {
            String option = arguments.get(i);
            switch (option) {
                case "--cloud" -> cloud = true;
                case "--local-pods" -> localPods = true;
                case "--untrusted" -> untrusted = true;
                case "--sandbox" -> sandbox = true;
                case "--virtual-time" -> virtualTime = true;
                case "--hold-clock" -> heldClock = true;
                case "--resume" -> resume = true;
                default -> readValue(option, value(arguments, ++i));
            }
        }
    }

    private void readValue(String option, String value) {
        switch (option) {
            case "--home" -> home = Path.of(value).toAbsolutePath();
            case "--job" -> job = value;
            case "--build" -> number = Integer.parseInt(value);
            case "--scm" -> scm = value;
            case "--branch" -> branch = value;
            case "--path" -> path = value;
            case "--jenkinsfile" -> jenkinsfile = value;
            case "--config" -> configs.add(Path.of(value));
            case "--user" -> user = value;
            case "--agent-image" -> agentImage = value;
            case "--local-path" -> localPath = value;
            case "--answer" -> answers.add(value);
            case "--at" -> at.add(value);
            case "--restart-at" -> at.add(value + "=kill");
            case "--away" -> away = Long.parseLong(value) * 1000;
            case "--agent-timeout" -> agentTimeout = Long.parseLong(value) * 1000;
            case "--request" -> request = value;
            case "--tell" -> tell = value;
            case "--folder" -> folder = value;
            case "--cause" -> cause = value;
            case "--job-xml" -> jobXml = value;
            case "--replay" -> replay = Integer.parseInt(value);
            case "--replace" -> pair(option, value, replaced);
            case "--without" -> absent.addAll(List.of(value.split(",")));
            case "--env" -> pair(option, value, environment);
            case "--library" -> pair(option, value, libraries);
            case "--param" -> pair(option, value, parameters);
            default -> throw new IllegalArgumentException("there is no option " + option);
        }
    }

    /** As they were given. */
    public String text() {
        return String.join("\0", given.stream().filter(each -> !each.equals("--resume")).toList());
    }

    public String jobName() {
        return job != null ? job : path.replaceAll("[^A-Za-z0-9-]+", "-").toLowerCase();
    }

    private static String value(List<String> arguments, int index) {
        if (index >= arguments.size()) {
            String option = arguments.get(index - 1);
            throw new IllegalArgumentException(
                    option.startsWith("--") ? option + " needs a value, or is no option" : "there is no option " + option);
        }
        return arguments.get(index);
    }

    private static void pair(String option, String text, Map<String, String> into) {
        int equals = text.indexOf('=');
        if (equals < 1) {
            throw new IllegalArgumentException(option + " " + text + " is not of the form NAME=VALUE");
        }
        into.put(text.substring(0, equals), text.substring(equals + 1));
    }
}
