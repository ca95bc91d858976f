package dev.slipway.runner.engine;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/** The build's console: what Jenkins would show, with the secrets masked, also kept as the build's log. */
public final class Console {
    private final PrintStream terminal;
    private final OutputStream log;
    private final Set<String> secrets = new LinkedHashSet<>();

    Console(PrintStream terminal, Path log) throws IOException {
        this.terminal = terminal;
        this.log = Files.newOutputStream(log);
    }

    public synchronized void hide(Set<String> more) {
        for (String secret : more) {
            if (!secret.isBlank()) {
                secrets.add(secret);
            }
        }
    }

    public synchronized void line(String text) {
        String shown = text;
        // The longest first: one secret may be part of another.
        List<String> ordered = new ArrayList<>(secrets);
        ordered.sort(Comparator.comparingInt(String::length).reversed());
        for (String secret : ordered) {
            shown = shown.replace(secret, "****");
        }
        terminal.println(shown);
        terminal.flush();
        try {
            log.write((shown + "\n").getBytes(StandardCharsets.UTF_8));
            log.flush();
        } catch (IOException lost) {
            terminal.println("runner: the log cannot be written: " + lost.getMessage());
        }
    }

    void step(Step step) {
        String label = step.arguments.text("label", false);
        line("[Pipeline] " + step.name() + (label == null ? "" : " (" + label + ")"));
    }

    void open(String label) {
        line(label == null ? "[Pipeline] {" : "[Pipeline] { (" + label + ")");
    }

    void close(String ignored) {
        line("[Pipeline] }");
    }

    void stepEnded(Step step) {
        if (step.body() != null || step.arguments.step().equals("parallel")) {
            line("[Pipeline] // " + step.name());
        }
    }

    /** A stream that prints whole lines. */
    public OutputStream stream() {
        return new OutputStream() {
            private final ByteArrayOutputStream line = new ByteArrayOutputStream();

            @Override
            public synchronized void write(int b) {
                if (b == '\n') {
                    flushLine();
                } else {
                    line.write(b);
                }
            }

            private void flushLine() {
                Console.this.line(line.toString(StandardCharsets.UTF_8));
                line.reset();
            }

            @Override
            public synchronized void close() {
                if (line.size() > 0) {
                    flushLine();
                }
            }
        };
    }
}
