package dev.slipway.runner.nodes;

import java.io.File;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/** This machine, as a built-in node. */
public final class LocalNode implements Node {
    private final String workspace;

    public LocalNode(Path workspace) throws IOException {
        Files.createDirectories(workspace);
        this.workspace = workspace.toString();
    }

    @Override
    public String name() {
        return "Jenkins";
    }

    @Override
    public String workspace() {
        return workspace;
    }

    @Override
    public Execution start(String container, String program, String directory, Map<String, String> environment, byte[] input, OutputStream out) throws Exception {
        ProcessBuilder builder = new ProcessBuilder("sh", "-c", program).directory(new File(directory)).redirectErrorStream(true);
        environment.forEach((name, value) -> {
            if (value == null) {
                builder.environment().remove(name);
            } else {
                builder.environment().put(name, value);
            }
        });
        Process process = builder.start();
        try (OutputStream stdin = process.getOutputStream()) {
            stdin.write(input);
        } catch (IOException ended) {
            // A program that reads nothing may be gone already.
        }
        return new Execution() {
            @Override
            public int await() throws Exception {
                process.getInputStream().transferTo(out);
                out.close();
                return process.waitFor();
            }

            @Override
            public void stop() {
                process.descendants().forEach(ProcessHandle::destroy);
                process.destroy();
            }
        };
    }
}
