package dev.slipway.runner.steps;

import hudson.AbortException;
import java.io.ByteArrayOutputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;

/** sh script, returnStdout, returnStatus, label: a real shell, its output streamed. */
public final class Shell extends OnNode {
    @Override
    protected void start() throws Exception {
        String script = arguments.required("script");
        boolean stdout = arguments.flag("returnStdout", false);
        boolean status = arguments.flag("returnStatus", false);
        build.stages.shell(context.stage);
        // As Jenkins runs it: the script's own first line, or sh -xe. With returnStdout only stderr goes to the console.
        String options = script.startsWith("#!") ? "" : "-xe";
        String marker = "RUNNER_SCRIPT_END";
        String file = "$d/script.sh";
        String write = "d=$(mktemp -d); cat > " + file + " <<'" + marker + "'\n" + script + "\n" + marker + "\n";
        String call = script.startsWith("#!") ? "chmod +x " + file + "; " + file : "sh " + options + " " + file;
        ByteArrayOutputStream captured = new ByteArrayOutputStream();
        OutputStream out = stdout ? captured : build.console.stream();
        String program = write + (stdout ? call + " 2>$d/err" : call) + " </dev/null; c=$?; "
                + (stdout ? "printf '\\nRUNNER_STDERR\\n'; cat $d/err; " : "") + "rm -rf $d; exit $c";
        run(program, new byte[0], out, code -> {
            String answer = null;
            if (stdout) {
                String all = captured.toString(StandardCharsets.UTF_8);
                int split = all.lastIndexOf("\nRUNNER_STDERR\n");
                answer = split < 0 ? all : all.substring(0, split);
                if (split >= 0) {
                    all.substring(split + "\nRUNNER_STDERR\n".length()).lines().forEach(build.console::line);
                }
            }
            if (status) {
                success(code);
            } else if (code != 0) {
                failure(new AbortException("script returned exit code " + code));
            } else {
                success(answer);
            }
        });
    }
}
