package dev.slipway.runner.engine;

import dev.slipway.runner.nodes.Cloud;
import dev.slipway.runner.nodes.KubernetesCloud;
import dev.slipway.runner.nodes.LocalCloud;
import dev.slipway.runner.site.Git;
import dev.slipway.runner.site.Site;
import hudson.model.Result;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
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
            case "input" -> words.length == 3 && (words[2].equals("proceed") || words[2].equals("abort")) ? "input " + words[1] + ":" + words[2] + " " + options.user : null;
            default -> null;
        };
        if (line == null) {
            throw new IllegalArgumentException("--request \"" + options.request + "\" is none of \"stop\", \"input ID proceed\", \"input ID abort\"");
        }
        Requests.send(job.resolve(String.valueOf(number)), line, options.parameters);
    }

    public Build build() {
        return build;
    }

    /** To be called first: finds the build's number and its sources; waits where its job wants one build at a time. */
    public void prepare() throws Exception {
        Site site = new Site(options.user);
        if (options.config != null) {
            site.read(options.config);
        }
        options.libraries.forEach(site::addLibrary);
        options.environment.forEach(site::setEnvironment);
        String job = options.jobName();
        Store store = options.resume ? Store.existing(options.home, job, options.number, site.jenkinsUrl()) : Store.next(options.home, job, site.jenkinsUrl());
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
            jenkinsfile = Files.readString(clone.resolve(options.path));
            site.setEnvironment("BRANCH_NAME", options.branch);
        } else {
            jenkinsfile = Files.readString(Files.exists(kept) ? kept : Path.of(options.jenkinsfile));
        }
        Files.writeString(kept, jenkinsfile);
        Cloud cloud = options.localPods ? new LocalCloud(store.directory(), options.localPath) : options.cloud ? new KubernetesCloud(site.cloudName(), site.cloudNamespace(), options.agentImage, site.jenkinsUrl()) : null;
        Map<String, Object> parameters = new LinkedHashMap<>(new Jobs(options.home, job).parameters());
        options.parameters.forEach(parameters::put);
        parameters.forEach((name, value) -> site.setEnvironment(name, String.valueOf(value)));
        build = new Build(options, site, store, source, cloud, terminal);
        build.state.parameters.putAll(parameters);
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
