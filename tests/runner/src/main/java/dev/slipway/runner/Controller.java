package dev.slipway.runner;

import dev.slipway.runner.engine.Options;
import dev.slipway.runner.engine.Runner;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;

/**
 * One process for many builds, as Jenkins is: each line of its input is the
 * options of a build, separated by tabs; it answers each with a line when the
 * build has begun (its folder) and when it has ended (its result).
 */
final class Controller {
    private Controller() {}

    /** Its own words alone go to its output. */
    private static final PrintStream ANSWERS = System.out;

    static void serve() throws Exception {
        System.setOut(System.err);
        PrintStream nowhere = new PrintStream(OutputStream.nullOutputStream());
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            List<String> arguments = List.of(line.split("\t"));
            Thread thread = new Thread(() -> build(arguments, nowhere));
            thread.setDaemon(true);
            thread.start();
        }
    }

    private static void build(List<String> arguments, PrintStream console) {
        try {
            Runner runner = new Runner(Options.parse(arguments), console);
            runner.prepare();
            say("began " + runner.build().store.directory());
            say("ended " + runner.build().store.directory() + " " + runner.run());
        } catch (Throwable problem) {
            say("failed " + problem);
            problem.printStackTrace();
        }
    }

    private static synchronized void say(String text) {
        ANSWERS.println(text);
        ANSWERS.flush();
    }
}
