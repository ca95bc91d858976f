package dev.slipway.runner.engine;

import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.regex.Pattern;

/** The build's console: what Jenkins would show, with the secrets masked, also kept as the build's log. */
public final class Console {
    private final PrintStream terminal;
    private final OutputStream log;
    private long length;
    private StringBuilder held;

    Console(PrintStream terminal, Path log) throws IOException {
        this.terminal = terminal;
        this.length = Files.exists(log) ? Files.size(log) : 0;
        this.log = Files.newOutputStream(log, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    }

    /** Shown once the program that says it is on disk: see hold. */
    public void line(String text) {
        line(text, null);
    }

    /** What a step says: the secrets around it are masked. */
    synchronized void line(String text, Pattern secrets) {
        String shown = Masks.masked(text, secrets);
        if (held == null) {
            show(shown);
        } else {
            held.append(shown).append('\n');
        }
    }

    /** From now on the build's own lines are kept back, until release. */
    synchronized void hold() {
        held = new StringBuilder();
    }

    /** What is kept back. */
    synchronized String held() {
        return held == null ? "" : held.toString();
    }

    synchronized void release() {
        String lines = held();
        held = null;
        if (!lines.isEmpty()) {
            show(lines);
        }
        notifyAll();
    }

    /** What is noted beside the log before a line is written, given the log's length after it. */
    public interface Note {
        void write(long lengthAfter) throws IOException;
    }

    /** A line of a process outside, whose origin is noted first, so that after a kill it is neither lost nor shown twice. */
    public synchronized void write(String text, Pattern secrets, Note note) throws IOException, InterruptedException {
        while (held != null) {
            wait();
        }
        String shown = Masks.masked(text, secrets);
        note.write(length + (shown + "\n").getBytes(StandardCharsets.UTF_8).length);
        show(shown);
    }

    /** Lines, the last with or without its end. */
    private void show(String lines) {
        String text = lines.endsWith("\n") ? lines : lines + "\n";
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        try {
            log.write(bytes);
            length += bytes.length;
        } catch (IOException lost) {
            terminal.println("runner: the log cannot be written: " + lost.getMessage());
        }
        terminal.print(text);
        terminal.flush();
    }

    /** How much of the log is on disk, in bytes. */
    public synchronized long length() {
        return length;
    }

    void step(Step step) {
        line("[Pipeline] " + step.name());
    }

    void open(String label) {
        line(label == null ? "[Pipeline] {" : "[Pipeline] { (" + label + ")");
    }

    public void close() {
        line("[Pipeline] }");
    }

    void stepEnded(Step step) {
        if (step.isBlock()) {
            line("[Pipeline] // " + step.name());
        }
    }
}
