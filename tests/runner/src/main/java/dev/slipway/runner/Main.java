package dev.slipway.runner;

import dev.slipway.runner.engine.Options;
import dev.slipway.runner.engine.Runner;
import hudson.model.Result;
import java.util.List;
import sun.misc.Signal;

/** runner [OPTION...]: runs one build of a Jenkinsfile, or several; see docs/runner.md. */
public final class Main {
    private Main() {}

    public static void main(String[] arguments) throws Exception {
        try {
            if (List.of(arguments).equals(List.of("--controller"))) {
                Controller.serve();
                System.exit(0);
            }
            Options options = Options.parse(List.of(arguments));
            if (options.tell != null) {
                throw new IllegalArgumentException("--tell goes with --controller");
            }
            if (options.request != null) {
                Runner.request(options);
                System.exit(0);
            }
            Runner runner = new Runner(options, System.out);
            runner.prepare();
            Signal.handle(new Signal("TERM"), signal -> runner.build().abort(options.user));
            Signal.handle(new Signal("INT"), signal -> runner.build().abort(options.user));
            Result result = runner.run();
            System.exit(switch (result) {
                case SUCCESS -> 0;
                case FAILURE -> 1;
                case UNSTABLE -> 3;
                case ABORTED -> 4;
                case NOT_BUILT -> 5;
            });
        } catch (IllegalArgumentException wrong) {
            System.err.println("runner: " + wrong.getMessage());
            System.exit(2);
        }
    }
}
