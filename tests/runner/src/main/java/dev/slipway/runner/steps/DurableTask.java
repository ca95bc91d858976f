package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Build;
import dev.slipway.runner.engine.Context;
import dev.slipway.runner.nodes.Node;
import dev.slipway.runner.nodes.Place;
import hudson.AbortException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * A shell that belongs to nobody: its script, output and exit code are files in
 * a folder beside the workspace, as Jenkins' durable-task plugin keeps them, so
 * whoever comes later can follow it.
 */
final class DurableTask {
    private static final int UNTOUCHED = 97;
    private static final int NEVER_STARTED = 98;
    private static final int NO_NOHUP = 95;
    private static final int KILLED = 128; // and above: by a signal, which may have been the end of the node
    private static final int TRIES = 180;
    /**
     * For so long a shell may take to start, and the one that started it to say that it is alive (it does so every 3 s). Jenkins waits for
     * 300 s.
     */
    private static final int PATIENCE_SECONDS = 30;

    /** The agent is gone, and the shell with it. */
    static final class Gone extends Exception {}

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
    private final Charset charset;
    private final String folder;
    private Integer lostCode;
    private int refusals;

    DurableTask(String id, Context context, Build build, String script, boolean keepsOutput, String encoding) {
        this.cookie = "durable-" + id;
        this.context = context;
        this.build = build;
        this.script = script;
        this.keepsOutput = keepsOutput;
        this.charset = encoding == null || encoding.isEmpty() ? StandardCharsets.UTF_8 : Charset.forName(encoding);
        this.folder = context.node.workspace() + "@tmp/durable-" + id;
    }

    /** Starts it, unless an earlier process has. The agent writes its files; whoever runs it has to cope with what the agent allows. */
    void launch() throws Exception {
        byte[] text = script.getBytes(StandardCharsets.UTF_8);
        String prepare = "d=" + OnNode.quoted(folder) + "; if [ ! -d \"$d/started\" ]; then mkdir -p \"$d\" && head -c " + text.length
                + " > \"$d/script.sh\" && "
                + "[ \"$(wc -c < \"$d/script.sh\")\" -eq " + text.length + " ] && chmod +x \"$d/script.sh\" || exit 96; fi\n";
        // Only one of two can make the folder: a connection that broke may have started it.
        String start = "mkdir " + OnNode.quoted(folder + "/started") + " 2> /dev/null || exit 0\n"
                + "command -v nohup > /dev/null || exit " + NO_NOHUP + "\nnohup sh -c " + OnNode.quoted("(" + wrapper() + ") >&- 2>&- &")
                        + " < /dev/null\n";
        Map<String, String> environment = new LinkedHashMap<>(build.environment(context));
        environment.put("JENKINS_SERVER_COOKIE", "please-do-not-kill-me");
        boolean elsewhere = context.isInContainer();
        int code = retried(context.agent(), prepare + (elsewhere ? "" : start), environment, text, OutputStream.nullOutputStream(), true);
        if (code == 0 && elsewhere) {
            code = retried(context.place(), start, environment, new byte[0], OutputStream.nullOutputStream(), true);
        }
        if (code == NO_NOHUP) {
            say("runner: there is no nohup in " + (elsewhere ? "the container " + context.place().container() : context.node.name())
                    + ": Jenkins starts every sh with it; there this step waits for five minutes and ends with -2");
        } else if (code != 0) {
            throw new AgentLost("the shell could not be started in " + folder + ": exit code " + code);
        }
    }

    /** What durable-task's BourneShellScript gives to nohup sh -c. */
    private String wrapper() {
        String interpreter = script.startsWith("#!") ? "" : "'sh' -xe ";
        String to = keepsOutput ? "> '%1$s/output.txt' 2> '%1$s/jenkins-log.txt'" : "> '%1$s/jenkins-log.txt' 2>&1";
        return String.format(
                "cp '%1$s/script.sh' '%1$s/script.sh.copy'; { while [ -d '%1$s' -a \\! -f '%1$s/jenkins-result.txt' ]; do touch '%1$s/jenkins-log.txt'; sleep 3; done } & "
                + "jsc=" + cookie + "; JENKINS_SERVER_COOKIE=$jsc " + interpreter + "'%1$s/script.sh.copy' " + to
                + "; echo $? > '%1$s/jenkins-result.txt.tmp'; mv '%1$s/jenkins-result.txt.tmp' '%1$s/jenkins-result.txt'; wait", folder);
    }

    /** Shows its output, from where an earlier process left off, until it ends. */
    void follow(Runnable activity) throws Exception {
        try (Output output = new Output(activity)) {
            if (context.node.isHere()) {
                lostCode = lost(followHere(output));
                return;
            }
            while (true) {
                String program = "d=" + OnNode.quoted(folder) + "; n=" + output.received()
                        + "; i=0; while :; do e=0; [ -f \"$d/jenkins-result.txt\" ] && e=1; "
                        + "s=0; [ -f \"$d/jenkins-log.txt\" ] && s=$(wc -c < \"$d/jenkins-log.txt\"); "
                        + "if [ \"$s\" -gt \"$n\" ]; then tail -c +$((n+1)) \"$d/jenkins-log.txt\" | head -c $((s-n)); n=$s; elif [ $e = 1 ]; then exit 0; "
                        + "else if [ $i -lt 20 ]; then sleep 0.02; else sleep 0.1; fi; i=$((i+1)); if [ $((i % " + PATIENCE_SECONDS * 10
                                + ")) = 0 ]; then [ -f \"$d/jenkins-log.txt\" ] || exit " + NEVER_STARTED + "; "
                        + "[ $(($(date +%s) - $(stat -c %Y \"$d/jenkins-log.txt\"))) -lt " + PATIENCE_SECONDS
                                + " ] || [ -f \"$d/jenkins-result.txt\" ] || exit " + UNTOUCHED + "; fi; fi; done";
                int code = retried(context.agent(), program, Map.of(), new byte[0], output, false);
                if (code == 0) {
                    return;
                }
                lostCode = lost(code);
                if (lostCode != null) {
                    return;
                }
            }
        }
    }

    /** The same on this machine, without a program that costs more than the shell itself. */
    private int followHere(Output output) throws IOException, InterruptedException {
        Path log = Path.of(folder, "jenkins-log.txt");
        Path result = Path.of(folder, "jenkins-result.txt");
        for (int i = 1;; i++) {
            boolean ended = Files.exists(result);
            byte[] more = Files.exists(log) ? after(log, output.received()) : new byte[0];
            if (more.length > 0) {
                output.write(more, 0, more.length);
            } else if (ended) {
                return 0;
            } else {
                TimeUnit.MILLISECONDS.sleep(i <= 20 ? 20 : 100);
            }
            if (i % (PATIENCE_SECONDS * 10) == 0 && !Files.exists(result)) {
                if (!Files.exists(log)) {
                    return NEVER_STARTED;
                }
                if (System.currentTimeMillis() - Files.getLastModifiedTime(log).toMillis() >= PATIENCE_SECONDS * 1000L) {
                    return UNTOUCHED;
                }
            }
        }
    }

    private static byte[] after(Path file, long position) throws IOException {
        try (RandomAccessFile in = new RandomAccessFile(file.toFile(), "r")) {
            byte[] more = new byte[(int) Math.min(Math.max(0, in.length() - position), 1 << 20)];
            in.seek(position);
            in.readFully(more);
            return more;
        }
    }

    /** What a shell that is lost ends with, which the console explains; null for one that is not. */
    private Integer lost(int code) {
        if (code == NEVER_STARTED) {
            build.post(() -> build.console.line("process apparently never started in " + folder
                    + "\n(running Jenkins temporarily with "
                    + "-Dorg.jenkinsci.plugins.durabletask.BourneShellScript.LAUNCH_DIAGNOSTICS=true might make the problem clearer)"));
            return -2;
        }
        if (code == UNTOUCHED) {
            build.post(() -> build.console.line("wrapper script does not seem to be touching the log file in " + folder));
            return -1;
        }
        return null;
    }

    Answer answer() throws Exception {
        if (lostCode != null) {
            return new Answer(lostCode, "");
        }
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        if (context.node.isHere()) {
            out.write(Files.readAllBytes(Path.of(folder, "jenkins-result.txt")));
            out.write(keepsOutput ? Files.readAllBytes(Path.of(folder, "output.txt")) : new byte[0]);
        } else {
            String program = "d=" + OnNode.quoted(folder) + "; cat \"$d/jenkins-result.txt\"" + (keepsOutput ? " \"$d/output.txt\"" : "");
            retried(context.agent(), program, Map.of(), new byte[0], out, true);
        }
        String text = out.toString(charset);
        int line = text.indexOf('\n');
        return new Answer(Integer.parseInt(text.substring(0, line).strip()), text.substring(line + 1));
    }

    /** Takes its files away, where that can be done. */
    void cleanUp() {
        if (context.node.isHere()) {
            try (Stream<Path> all = Files.walk(Path.of(folder))) {
                all.sorted(Comparator.reverseOrder()).forEach(each -> each.toFile().delete());
            } catch (IOException | UncheckedIOException gone) {
                // The shell has taken them away itself.
            }
            return;
        }
        try {
            context.node.start(context.agent(), "cd / && rm -rf -- " + OnNode.quoted(folder), Map.of(), new byte[0],
                    OutputStream.nullOutputStream()).await();
        } catch (Exception gone) {
            // They go with the node.
        }
    }

    /** TERM to every process of it, wherever its children are. */
    void terminate() throws Exception {
        // Again where there is none yet: it may have been started just now.
        String program = "d=" + OnNode.quoted(folder)
                + "; i=0; k=; while [ -z \"$k\" ] && [ ! -f \"$d/jenkins-result.txt\" ] && [ $i -lt 50 ]; do "
                + "for f in $(grep -ls JENKINS_SERVER_COOKIE=" + cookie
                        + " /proc/[0-9]*/environ); do p=${f#/proc/}; kill ${p%/environ} 2>/dev/null; k=1; done; "
                + "i=$((i+1)); [ -n \"$k\" ] || sleep 0.1; done; exit 0";
        if (context.isInContainer()) {
            say("Killing processes");
        }
        int code = retried(context.place(), program, Map.of(), new byte[0], OutputStream.nullOutputStream(), true);
        if (context.isInContainer()) {
            say("kill finished with exit code " + code);
        }
    }

    private void say(String text) {
        build.post(() -> build.console.line(text));
    }

    /**
     * A connection that breaks says nothing about the shell: again, until the
     * agent is known to be gone, or has not answered for minutes. Where what
     * came counts (not anew), the caller asks for the rest itself.
     */
    private int retried(Place place, String program, Map<String, String> environment, byte[] input, OutputStream out,
            boolean anew) throws Exception {
        for (int tries = 0;; tries++) {
            Exception problem = null;
            try {
                int code = context.node.start(place, program, environment, input, out).await();
                if (code >= 0 && (code < KILLED || !context.node.isGone())) {
                    refusals = 0;
                    return code;
                }
            } catch (IOException | RuntimeException | ExecutionException broken) {
                problem = broken;
            }
            if (context.node.isGone()) {
                throw new Gone();
            }
            if (problem != null && problem.getCause() instanceof Node.Refused refused && ++refusals >= refused.times) {
                throw refused.why();
            }
            if (problem != null && problem.getCause() instanceof Node.NotStarted) {
                say("ERROR: Process exited immediately after creation. See output below\nExecuting " + place.shell()
                        + " script inside container " + place.container() + " of pod " + context.node.name() + "\n");
                throw new AbortException("Process exited immediately after creation. Check logs above for more details.");
            }
            if (tries >= TRIES) {
                throw new AgentLost("the agent does not answer: " + (problem == null ? "the connection ends at once"
                        : problem.getMessage()));
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
            received += length;
            int end = offset + length;
            while (end > offset && bytes[end - 1] != '\n') {
                end--;
            }
            if (end > offset) {
                line.write(bytes, offset, end - offset - 1);
                show(1);
            }
            line.write(bytes, end, offset + length - end);
            activity.run();
        }

        @Override
        public synchronized void write(int each) {
            write(new byte[] {(byte) each}, 0, 1);
        }

        /** Whole lines. */
        private void show(int newline) {
            long after = shown + line.size() + newline;
            try {
                build.console.write(line.toString(charset), build.secrets(context), length ->
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
