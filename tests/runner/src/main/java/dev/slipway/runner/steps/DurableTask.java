package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Build;
import dev.slipway.runner.engine.Context;
import hudson.AbortException;
import hudson.model.Result;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import jenkins.model.CauseOfInterruption;
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException;

/**
 * A shell that belongs to nobody: its script, output and exit code are files in
 * a folder beside the workspace, as Jenkins' durable-task plugin keeps them, so
 * whoever comes later can follow it.
 */
final class DurableTask {
    private static final int GONE = 97;
    private static final int TRIES = 180;

    /** How it ended. */
    static final class Answer {
        final int code;
        final String out;

        Answer(int code, String out) {
            this.code = code;
            this.out = out;
        }
    }

    int number;
    private final String cookie;
    private final Context context;
    private final Build build;
    private final String script;
    private final boolean keepsOutput;
    private final String folder;
    private Integer lostCode;

    DurableTask(String id, Context context, Build build, String script, boolean keepsOutput) {
        this.cookie = "durable-" + id;
        this.context = context;
        this.build = build;
        this.script = script;
        this.keepsOutput = keepsOutput;
        this.folder = context.node.workspace() + "@tmp/durable-" + id;
    }

    /** Starts it, unless an earlier process has. */
    void launch() throws Exception {
        byte[] text = script.getBytes(StandardCharsets.UTF_8);
        String call = script.startsWith("#!") ? "\"$d/script.sh\"" : "sh -xe \"$d/script.sh\"";
        String to = keepsOutput ? "> \"$d/output.txt\" 2> \"$d/jenkins-log.txt\"" : "> \"$d/jenkins-log.txt\" 2>&1";
        String run = "export d; JENKINS_SERVER_COOKIE=" + cookie + " " + call + " " + to + " < /dev/null; echo $? > \"$d/result\"; mv \"$d/result\" \"$d/jenkins-result.txt\"";
        String program = "d=" + OnNode.quoted(folder) + "; [ -s \"$d/pid\" ] && exit 0; mkdir -p \"$d\" && { chmod 777 \"${d%/*}\" 2> /dev/null || true; } && head -c " + text.length + " > \"$d/script.sh\" && "
                + "[ \"$(wc -c < \"$d/script.sh\")\" -eq " + text.length + " ] && chmod +x \"$d/script.sh\" && : > \"$d/jenkins-log.txt\" || exit 96; "
                + "export d; s=$(command -v setsid || true); $s sh -c " + OnNode.quoted(run) + " > /dev/null 2>&1 < /dev/null & echo $! > \"$d/pid\"";
        Map<String, String> environment = new LinkedHashMap<>(build.environment(context));
        int code = retried(program, environment, text, OutputStream.nullOutputStream(), true);
        if (code != 0) {
            throw new AgentLost("the shell could not be started in " + folder + ": exit code " + code);
        }
    }

    /** Shows its output, from where an earlier process left off, until it ends. */
    void follow(Runnable activity) throws Exception {
        try (Output output = new Output(activity)) {
            while (true) {
                String program = "d=" + OnNode.quoted(folder) + "; n=" + output.received() + "; while :; do e=0; [ -f \"$d/jenkins-result.txt\" ] && e=1; "
                        + "s=$(wc -c < \"$d/jenkins-log.txt\"); if [ \"$s\" -gt \"$n\" ]; then tail -c +$((n+1)) \"$d/jenkins-log.txt\" | head -c $((s-n)); n=$s; "
                        + "elif [ $e = 1 ]; then exit 0; elif kill -0 \"$(cat \"$d/pid\")\" 2>/dev/null; then sleep 0.1; elif [ ! -f \"$d/jenkins-result.txt\" ]; then exit " + GONE + "; fi; done";
                int code = retried(program, Map.of(), new byte[0], output, false);
                if (code == 0) {
                    return;
                }
                if (code == GONE) {
                    lostCode = -1;
                    return;
                }
            }
        }
    }

    Answer answer() throws Exception {
        if (lostCode != null) {
            return new Answer(lostCode, "");
        }
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        String program = "d=" + OnNode.quoted(folder) + "; cat \"$d/jenkins-result.txt\"" + (keepsOutput ? "; cat \"$d/output.txt\"" : "");
        retried(program, Map.of(), new byte[0], out, true);
        String text = out.toString(StandardCharsets.UTF_8);
        int line = text.indexOf('\n');
        return new Answer(Integer.parseInt(text.substring(0, line).strip()), text.substring(line + 1));
    }

    /** TERM to every process of it, wherever its children are. */
    void terminate() throws Exception {
        String program = "for p in /proc/[0-9]*; do if grep -q JENKINS_SERVER_COOKIE=" + cookie + " $p/environ 2>/dev/null; then kill ${p#/proc/} 2>/dev/null; fi; done";
        retried(program, Map.of(), new byte[0], OutputStream.nullOutputStream(), true);
    }

    /**
     * A connection that breaks says nothing about the shell: again, until the
     * agent is known to be gone, or has not answered for minutes. Where what
     * came counts (not anew), the caller asks for the rest itself.
     */
    private int retried(String program, Map<String, String> environment, byte[] input, OutputStream out, boolean anew) throws Exception {
        for (int tries = 0;; tries++) {
            Exception problem = null;
            try {
                int code = context.node.start(context.container, program, context.directory, environment, input, out).await();
                if (code >= 0) {
                    return code;
                }
            } catch (IOException | RuntimeException | ExecutionException broken) {
                problem = broken;
            }
            if (context.node.isGone()) {
                throw new FlowInterruptedException(Result.ABORTED, new CauseOfInterruption.RemovedNodeCause());
            }
            if (problem != null && problem.getCause() instanceof AbortException refused) {
                throw refused;
            }
            if (tries >= TRIES) {
                throw new AgentLost("the agent does not answer: " + (problem == null ? "the connection ends at once" : problem.getMessage()));
            }
            TimeUnit.SECONDS.sleep(1);
            if (!anew) {
                return -1;
            }
        }
    }

    /** Whole lines go to the console; how far they reach is noted in the build's folder first. */
    private final class Output extends OutputStream {
        private final Path notes = build.store.directory().resolve("shell-" + number);
        private final ByteArrayOutputStream line = new ByteArrayOutputStream();
        private final Runnable activity;
        private long shown;
        private long received;

        Output(Runnable activity) throws IOException {
            this.activity = activity;
            if (Files.exists(notes)) {
                for (String note : Files.readAllLines(notes)) {
                    List<String> words = List.of(note.split(" "));
                    if (words.size() == 2 && Long.parseLong(words.get(1)) <= build.console.length()) {
                        shown = Long.parseLong(words.get(0));
                    }
                }
            }
            received = shown;
        }

        long received() {
            return received;
        }

        @Override
        public synchronized void write(byte[] bytes, int offset, int length) {
            for (int i = offset; i < offset + length; i++) {
                write(bytes[i]);
            }
            activity.run();
        }

        @Override
        public synchronized void write(int each) {
            received++;
            if (each == '\n') {
                show(1);
            } else {
                line.write(each);
            }
        }

        private void show(int newline) {
            long after = shown + line.size() + newline;
            try {
                build.console.write(line.toString(StandardCharsets.UTF_8), length ->
                        Files.writeString(notes, after + " " + length + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND));
            } catch (IOException | InterruptedException lost) {
                throw new IllegalStateException("showing the output of a shell", lost);
            }
            shown = after;
            line.reset();
        }

        @Override
        public synchronized void close() {
            if (line.size() > 0) {
                show(0);
            }
        }
    }
}
