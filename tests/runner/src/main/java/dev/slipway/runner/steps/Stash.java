package dev.slipway.runner.steps;

import hudson.AbortException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.List;

/** stash name, includes, excludes, useDefaultExcludes, allowEmpty */
public final class Stash extends OnNode {
    private static final long serialVersionUID = 1;
    private static final int NONE = 9;
    private static final int UNREADABLE = 8;

    @Override
    protected void begin() throws Exception {
        String name = arguments.required("name");
        Path packed = build.store.directory().resolve("stashes").resolve(name + ".tar.gz");
        boolean mayBeEmpty = arguments.flag("allowEmpty", false);
        String list = Patterns.list(
                arguments.text("includes", false), arguments.text("excludes", false), arguments.flag("useDefaultExcludes", true));
        // Base64, since what comes back through exec is text in the worst case.
        String program = "l=$(" + list + "); if [ -z \"$l\" ]; then exit " + NONE + "; fi; u=$(" + Patterns.unreadable()
                + "); if [ -n \"$u\" ]; then echo \"$u\"; exit " + UNREADABLE
                + "; fi; echo \"$l\" | wc -l; echo \"$l\" | tar czf - -T - | base64";
        capture(program, new byte[0], (code, out) -> {
            String text = new String(out, StandardCharsets.UTF_8);
            int line = text.indexOf('\n');
            if (code == NONE && !mayBeEmpty) {
                failure(new AbortException("No files included in stash ‘" + name + "’"));
            } else if (code == UNREADABLE) {
                // How the packing of a file that cannot be read ends there.
                List<String> file = text.lines().toList();
                failure(new IOException(
                        "Entry '" + file.get(0) + "' closed at '0' before the '" + file.get(1)
                        + "' bytes specified in the header were written"));
            } else if (code != 0 && code != NONE) {
                failure(new AbortException("stash " + name + ": " + text.strip()));
            } else {
                Files.createDirectories(packed.getParent());
                Files.write(packed, code == NONE ? new byte[0] : Base64.getMimeDecoder().decode(text.substring(line + 1)));
                say("Stashed " + (code == NONE ? "0" : text.substring(0, line).strip()) + " file(s)");
                success(null);
            }
        });
    }
}
