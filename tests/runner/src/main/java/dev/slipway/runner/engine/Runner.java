package dev.slipway.runner.engine;

import dev.slipway.runner.nodes.Cloud;
import dev.slipway.runner.nodes.KubernetesCloud;
import dev.slipway.runner.nodes.LocalCloud;
import dev.slipway.runner.site.Git;
import dev.slipway.runner.site.People;
import dev.slipway.runner.site.Site;
import hudson.model.Result;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** Makes a build of what the command line says, and runs it. */
public final class Runner {
    private final Options options;
    private final PrintStream terminal;
    private Build build;
    private String jenkinsfile;

    public Runner(Options options, PrintStream terminal) {
        this.options = options;
        this.terminal = terminal;
    }

    /** Hands a request to a build that runs: --request "input ID proceed", "stop". */
    public static void request(Options options) throws IOException {
        Path job = options.home.resolve("jobs").resolve(options.jobName());
        int number = options.number != 0 ? options.number : Store.numbers(job).stream().findFirst().orElse(0);
        if (number == 0 || !Store.runs(job.resolve(String.valueOf(number)))) {
            throw new IllegalArgumentException("no build of " + options.jobName() + " runs");
        }
        String[] words = options.request.split(" ");
        String line = switch (words[0]) {
            case "stop" -> words.length == 1 ? "stop " + options.user : null;
            case "input" -> words.length == 3 && Requests.ANSWERS.contains(words[2]) ? "input " + words[1] + ":" + words[2] + " "
                    + options.user : null;
            default -> null;
        };
        if (line == null) {
            throw new IllegalArgumentException("--request \"" + options.request
                    + "\" is neither \"stop\" nor \"input ID ANSWER\" with an ANSWER of " + Requests.ANSWERS);
        }
        Requests.send(job.resolve(String.valueOf(number)), line, options.parameters);
    }

    public Build build() {
        return build;
    }

    /** To be called first: finds the build's number and its sources; waits where its job wants one build at a time. */
    public void prepare() throws Exception {
        Site site = new Site(options.user, options.folder);
        for (Path config : options.configs) {
            site.read(config);
        }
        options.libraries.forEach(site.libraries::add);
        options.environment.forEach(site::setEnvironment);
        String job = options.jobName();
        Jobs jobs = new Jobs(options.home, job);
        if (!options.resume) {
            mayStart(site, jobs);
            jobs.begin(options.jobXml);
        }
        Path replayed = options.replay == 0 ? null : options.home.resolve("jobs").resolve(job).resolve(String.valueOf(options.replay));
        if (replayed != null) {
            options.replays(replayed);
        }
        Store store = options.resume ? Store.existing(options.home, options.folder, job, options.number, site.jenkinsUrl())
                : Store.next(options.home, options.folder, job, site.jenkinsUrl());
        if (!options.resume) {
            Files.writeString(store.directory().resolve("options"), options.text());
        }
        Source source = null;
        Path kept = store.directory().resolve("Jenkinsfile");
        if (options.scm != null) {
            Path clone = store.directory().resolve("scm");
            if (!Files.exists(kept)) {
                Git.run(null, "clone", "-q", "--branch", options.branch, options.scm, clone.toString());
            }
            source = new Source(options.scm, options.branch, Git.run(clone, "rev-parse", "HEAD"));
            jenkinsfile = Files.readString(replayed == null ? clone.resolve(options.path) : script(kept, replayed));
            site.setEnvironment("BRANCH_NAME", options.branch);
        } else {
            jenkinsfile = Files.readString(script(kept, replayed));
        }
        Files.writeString(kept, jenkinsfile);
        Cloud cloud = options.localPods ? new LocalCloud(store.directory(), options.localPath) : options.cloud
                ? new KubernetesCloud(options.agentImage, site.jenkinsUrl(), site::token) : null;
        Map<String, Object> parameters = given(jobs.parameters());
        parameters.forEach((name, value) -> site.setEnvironment(name, String.valueOf(value)));
        build = new Build(options, site, store, source, cloud, terminal);
        build.state.parameters.putAll(parameters);
        build.state.causes.addAll(Causes.of(options, site.people));
        build.store.began(build.state.causes);
    }

    /** Of a build that goes on, what it has; else what is given, or what the replayed build had. */
    private Path script(Path kept, Path replayed) {
        return Files.exists(kept) ? kept : options.jenkinsfile != null ? Path.of(options.jenkinsfile) : replayed.resolve("Jenkinsfile");
    }

    private void mayStart(Site site, Jobs jobs) throws IOException {
        if (options.replay != 0 && jobs.parameters().stream().anyMatch(each -> each.kind().equals("password"))) {
            throw new Refused(400, "Replay is not allowed when password parameters are used.");
        }
        if (options.cause == null && !site.people.may(options.user, options.replay == 0 ? People.BUILD : People.CONFIGURE)) {
            throw new Refused(403, options.user + " may not " + (options.replay == 0 ? "build " : "replay ") + options.jobName());
        }
        if ("timer".equals(options.cause) && !jobs.hasTrigger("cron")) {
            throw new IllegalArgumentException("--cause timer: the job " + options.jobName() + " has no trigger cron");
        }
    }

    /** What was given, and the defaults of what was not; a job that declares parameters does not see others. */
    private Map<String, Object> given(List<Parameter> declared) {
        Map<String, Object> all = new LinkedHashMap<>();
        if (declared.isEmpty()) {
            all.putAll(options.parameters);
        }
        declared.forEach(each -> all.put(each.name(), each.value(options.parameters.get(each.name()))));
        return all;
    }

    public Result run() throws Exception {
        Result result = options.resume ? build.resume(jenkinsfile) : build.run(jenkinsfile);
        build.workers.shutdown();
        build.workers.awaitTermination(10, TimeUnit.SECONDS);
        terminal.println();
        build.state.stages.print(terminal);
        return result;
    }
}
