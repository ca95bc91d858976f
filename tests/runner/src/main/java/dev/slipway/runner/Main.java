package dev.slipway.runner;

import dev.slipway.runner.engine.Build;
import dev.slipway.runner.engine.Source;
import dev.slipway.runner.engine.Store;
import dev.slipway.runner.nodes.Cloud;
import dev.slipway.runner.site.Answers;
import dev.slipway.runner.site.Git;
import dev.slipway.runner.site.Site;
import hudson.model.Result;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import sun.misc.Signal;

/** runner [OPTION...]: runs one build of a Jenkinsfile; see docs/runner.md. */
public final class Main {
    private Main() {}

    public static void main(String[] arguments) throws Exception {
        try {
            System.exit(run(arguments));
        } catch (IllegalArgumentException wrong) {
            System.err.println("runner: " + wrong.getMessage());
            System.exit(2);
        }
    }

    private static int run(String[] arguments) throws Exception {
        Path home = Path.of(System.getProperty("user.home"), ".runner");
        String job = null;
        String scm = null;
        String branch = "Staging";
        String path = "Jenkinsfile";
        String file = null;
        String user = "admin";
        String agent = null;
        boolean cloud = false;
        boolean virtual = false;
        Answers answers = new Answers();
        Map<String, String> environment = new LinkedHashMap<>();
        Map<String, String> libraries = new LinkedHashMap<>();
        Map<String, String> parameters = new LinkedHashMap<>();
        Path config = null;
        for (int i = 0; i < arguments.length; i++) {
            String option = arguments[i];
            switch (option) {
                case "--cloud" -> cloud = true;
                case "--virtual-time" -> virtual = true;
                case "--home" -> home = Path.of(value(arguments, ++i));
                case "--job" -> job = value(arguments, ++i);
                case "--scm" -> scm = value(arguments, ++i);
                case "--branch" -> branch = value(arguments, ++i);
                case "--path" -> path = value(arguments, ++i);
                case "--jenkinsfile" -> file = value(arguments, ++i);
                case "--config" -> config = Path.of(value(arguments, ++i));
                case "--user" -> user = value(arguments, ++i);
                case "--agent-image" -> agent = value(arguments, ++i);
                case "--answer" -> answers.add(value(arguments, ++i));
                case "--env" -> pair(option, value(arguments, ++i), environment);
                case "--library" -> pair(option, value(arguments, ++i), libraries);
                case "--param" -> pair(option, value(arguments, ++i), parameters);
                default -> throw new IllegalArgumentException("there is no option " + option);
            }
        }
        if ((scm == null) == (file == null)) {
            throw new IllegalArgumentException("give either --scm URL or --jenkinsfile FILE");
        }
        Site site = new Site(user, virtual);
        if (config != null) {
            site.read(config);
        }
        libraries.forEach(site::addLibrary);
        environment.forEach(site::setEnvironment);
        if (job == null) {
            job = path.replaceAll("[^A-Za-z0-9-]+", "-").toLowerCase();
        }
        Store store = new Store(home.toAbsolutePath(), job, site.jenkinsUrl());
        Source source = null;
        String jenkinsfile;
        if (scm != null) {
            Path clone = store.directory().resolve("scm");
            Git.run(null, "clone", "-q", "--branch", branch, scm, clone.toString());
            source = new Source(scm, branch, Git.run(clone, "rev-parse", "HEAD"));
            jenkinsfile = Files.readString(clone.resolve(path));
            environment.forEach(site::setEnvironment);
            site.setEnvironment("BRANCH_NAME", branch);
        } else {
            jenkinsfile = Files.readString(Path.of(file));
        }
        Cloud kubernetes = cloud ? new Cloud(site.cloudNamespace(), agent == null ? "jenkins/inbound-agent:latest" : agent) : null;
        Build build = new Build(site, answers, store, source, kubernetes, System.out);
        build.parameters.putAll(parameters);
        Signal.handle(new Signal("TERM"), signal -> build.abort(site.user()));
        Signal.handle(new Signal("INT"), signal -> build.abort(site.user()));
        Result result = build.run(jenkinsfile);
        System.out.println();
        build.stages.print(System.out);
        build.workers.shutdown();
        build.workers.awaitTermination(10, java.util.concurrent.TimeUnit.SECONDS);
        return switch (result) {
            case SUCCESS -> 0;
            case FAILURE -> 1;
            case UNSTABLE -> 3;
            case ABORTED -> 4;
            case NOT_BUILT -> 5;
        };
    }

    private static String value(String[] arguments, int index) {
        if (index >= arguments.length) {
            throw new IllegalArgumentException(arguments[index - 1] + " needs a value");
        }
        return arguments[index];
    }

    private static void pair(String option, String text, Map<String, String> into) {
        int equals = text.indexOf('=');
        if (equals < 1) {
            throw new IllegalArgumentException(option + " " + text + " is not of the form NAME=VALUE");
        }
        into.put(text.substring(0, equals), text.substring(equals + 1));
    }
}
