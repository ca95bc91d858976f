package dev.slipway.runner.nodes;

import java.io.File;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ExecutionException;

/** This machine, as a built-in node. */
public final class LocalNode implements Node {
    private static final long serialVersionUID = 1;

    private final String name;
    private final String workspace;
    private final String path;
    private final boolean pod;

    /** The path is put in front of PATH, null for none; pod says whether it stands in for one. */
    public LocalNode(String name, Path workspace, String path, boolean pod) throws IOException {
        Files.createDirectories(workspace);
        this.name = name;
        this.workspace = workspace.toString();
        this.path = path;
        this.pod = pod;
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public String workspace() {
        return workspace;
    }

    /** The built-in node's process is this one; a pod's has nothing of it but a path. */
    @Override
    public Map<String, String> environment() {
        Map<String, String> all = new HashMap<>(pod ? Map.of() : System.getenv());
        all.put("PATH", path == null ? System.getenv("PATH") : path + ":" + System.getenv("PATH"));
        return all;
    }

    @Override
    public boolean isHere() {
        return true;
    }

    @Override
    public boolean hasContainers() {
        return pod;
    }

    @Override
    public Execution start(
            Place place, String program, Map<String, String> environment, byte[] input, OutputStream out) throws IOException,
            ExecutionException {
        Files.createDirectories(Path.of(place.directory()));
        // In a session of its own: what stops this process, and those it started, is no business of a shell that goes on.
        ProcessBuilder builder = new ProcessBuilder("setsid", "sh", "-c", program).directory(new File(place.directory()))
                .redirectErrorStream(true);
        Map<String, String> variables = builder.environment();
        if (path != null) {
            variables.merge("PATH", path, (old, own) -> own + ":" + old);
        }
        environment.forEach((key, value) -> {
            int plus = key.indexOf('+');
            if (plus > 0) {
                variables.merge(key.substring(0, plus), value, (old, more) -> more + ":" + old);
            } else if (value == null) {
                variables.remove(key);
            } else {
                variables.put(key, value);
            }
        });
        Process process;
        try {
            process = builder.start();
        } catch (IOException never) {
            throw new ExecutionException(new Refused(never, 1));
        }
        try (OutputStream stdin = process.getOutputStream()) {
            stdin.write(input);
        } catch (IOException ended) {
            // A program that reads nothing may be gone already.
        }
        return () -> {
            process.getInputStream().transferTo(out);
            return process.waitFor();
        };
    }
}
