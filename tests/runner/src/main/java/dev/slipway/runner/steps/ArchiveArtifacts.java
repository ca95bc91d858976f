package dev.slipway.runner.steps;

import hudson.AbortException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;

/** archiveArtifacts artifacts, allowEmptyArchive; junit keeps its results' files in the same place. */
public final class ArchiveArtifacts extends OnNode {
    @Override
    protected void start() throws Exception {
        boolean junit = arguments.step().equals("junit");
        String patterns = arguments.text(junit ? "testResults" : "artifacts", true);
        boolean mayBeEmpty = arguments.flag(junit ? "allowEmptyResults" : "allowEmptyArchive", false);
        StringBuilder find = new StringBuilder("{");
        for (String pattern : patterns.split("\\s*,\\s*")) {
            find.append(' ').append(Patterns.find(pattern));
        }
        String program = "l=$(" + find + " }); if [ -z \"$l\" ]; then exit 9; fi; echo \"$l\" | tar czf - -T - | base64";
        build.console.line(junit ? "Recording test results" : "Archiving artifacts");
        capture(program, new byte[0], (code, out) -> {
            if (code == 9 && mayBeEmpty) {
                success(null);
            } else if (code != 0) {
                failure(new AbortException(code == 9 ? "No artifacts found that match the file pattern \"" + patterns + "\". Configuration error?" : new String(out, StandardCharsets.UTF_8).strip()));
            } else {
                keep(Base64.getMimeDecoder().decode(out));
                success(null);
            }
        });
    }

    private void keep(byte[] packed) throws Exception {
        Path archive = build.store.directory().resolve(arguments.step().equals("junit") ? "junit" : "archive");
        Files.createDirectories(archive);
        Process tar = new ProcessBuilder("tar", "xzf", "-", "-C", archive.toString()).redirectErrorStream(true).start();
        try (var in = tar.getOutputStream()) {
            in.write(packed);
        }
        if (tar.waitFor() != 0) {
            throw new AbortException("keeping the artifacts failed: " + new String(tar.getInputStream().readAllBytes(), StandardCharsets.UTF_8));
        }
    }
}
