package dev.slipway.runner.steps;

import hudson.AbortException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;

/** archiveArtifacts artifacts, allowEmptyArchive; junit keeps its results' files in the same way. */
public final class ArchiveArtifacts extends OnNode {
    private static final long serialVersionUID = 1;
    private static final int NONE = 9;
    private static final int UNREADABLE = 8;

    private boolean junit() {
        return arguments.step().equals("junit");
    }

    @Override
    protected void announce() throws AbortException {
        if (junit()) {
            say("Recording test results");
        } else if (patterns() == null || patterns().isEmpty()) {
            throw new AbortException("No artifacts are configured for archiving");
        } else {
            say("Archiving artifacts");
        }
    }

    private String patterns() {
        return arguments.text(junit() ? "testResults" : "artifacts", true);
    }

    @Override
    protected void begin() {
        String patterns = patterns();
        boolean mayBeEmpty = arguments.flag(junit() ? "allowEmptyResults" : "allowEmptyArchive", false);
        String list = Patterns.list(patterns, arguments.text("excludes", false), arguments.flag("defaultExcludes", true));
        String program = "l=$(" + list + "); if [ -z \"$l\" ]; then exit " + NONE + "; fi; if [ -n \"$(" + Patterns.unreadable()
                + ")\" ]; then echo \"$l\" | wc -l; exit " + UNREADABLE + "; fi; echo \"$l\" | tar czf - -T - | base64";
        capture(program, new byte[0], (code, out) -> {
            String none = "No artifacts found that match the file pattern \"" + patterns + "\". Configuration error?";
            if (code == NONE && mayBeEmpty) {
                say(none);
                success(null);
            } else if (code == UNREADABLE) {
                failure(new IOException(
                        "Failed to extract " + context.directory + "/transfer of " + new String(out, StandardCharsets.UTF_8).strip()
                        + " files"));
            } else if (code != 0) {
                failure(new AbortException(code == NONE ? none : new String(out, StandardCharsets.UTF_8).strip()));
            } else {
                keep(Base64.getMimeDecoder().decode(out));
                if (arguments.flag("fingerprint", false)) {
                    say("Recording fingerprints");
                }
                success(null);
            }
        });
    }

    private void keep(byte[] packed) throws Exception {
        Path archive = build.store.directory().resolve(junit() ? "junit" : "archive");
        Files.createDirectories(archive);
        Process tar = new ProcessBuilder("tar", "xzf", "-", "-C", archive.toString()).redirectErrorStream(true).start();
        try (var in = tar.getOutputStream()) {
            in.write(packed);
        }
        if (tar.waitFor() != 0) {
            throw new AbortException(
                    "keeping the artifacts failed: " + new String(tar.getInputStream().readAllBytes(), StandardCharsets.UTF_8));
        }
    }
}
