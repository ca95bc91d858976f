package dev.slipway.runner;

import dev.slipway.runner.engine.Options;
import dev.slipway.runner.engine.Refused;
import dev.slipway.runner.engine.Runner;
import hudson.model.Result;
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import sun.misc.Signal;

/**
 * One process for many builds, as Jenkins is: each line of its input is the
 * options of a build, separated by tabs; it answers each with a line when the
 * build has begun (its folder) and when it has ended (its result), and between
 * them, where the options say --tell NAME, with a line for each of the console's.
 * SIGTERM is the abort button of every build that it plays. The process ends with its input.
 */
final class Controller {
    private Controller() {}

    /** Its own words alone go to its output. */
    private static final PrintStream ANSWERS = System.out;

    private static final Set<Runnable> ABORTS = ConcurrentHashMap.newKeySet();

    static void serve() throws Exception {
        Signal.handle(new Signal("TERM"), signal -> ABORTS.forEach(Runnable::run));
        System.setOut(System.err);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            List<String> arguments = List.of(line.split("\t"));
            Thread thread = new Thread(() -> build(arguments));
            thread.setDaemon(true);
            thread.start();
        }
    }

    private static void build(List<String> arguments) {
        String job = "-";
        try {
            Options options = Options.parse(arguments);
            job = options.home.resolve("jobs").resolve(options.jobName()).toString();
            Runner runner = new Runner(
                    options, options.tell == null ? new PrintStream(OutputStream.nullOutputStream()) : told(options.tell));
            runner.prepare();
            Runnable abort = () -> runner.build().abort(options.user);
            Result result;
            ABORTS.add(abort);
            try {
                say("began " + runner.build().store.directory());
                result = runner.run();
            } finally {
                ABORTS.remove(abort);
            }
            say("ended " + runner.build().store.directory() + " " + result);
        } catch (Refused no) {
            say("refused " + job + " " + no.getMessage().replace("\n", " "));
        } catch (Throwable problem) {
            say("failed " + job + " " + problem.toString().replace("\n", " "));
            problem.printStackTrace();
        }
    }

    /** A console that is told line by line. */
    private static PrintStream told(String name) {
        return new PrintStream(new OutputStream() {
            private final ByteArrayOutputStream line = new ByteArrayOutputStream();

            @Override
            public void write(int each) {
                if (each != '\n') {
                    line.write(each);
                    return;
                }
                say(name + " " + line.toString(StandardCharsets.UTF_8));
                line.reset();
            }
        }, true, StandardCharsets.UTF_8);
    }

    private static synchronized void say(String text) {
        ANSWERS.println(text);
        ANSWERS.flush();
    }
}
