package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Arguments;
import hudson.AbortException;
import java.io.Serializable;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** stash name, includes, excludes, useDefaultExcludes */
public final class Stash extends OnNode {
    @Override
    protected void start() throws Exception {
        String name = arguments.required("name");
        Path file = file(name);
        // Base64, since what comes back through exec is text in the worst case.
        String program = Files_.tar(arguments) + " | base64";
        capture(program, new byte[0], (code, out) -> {
            if (code != 0) {
                failure(new AbortException("stash " + name + ": " + new String(out, StandardCharsets.UTF_8).strip()));
                return;
            }
            byte[] packed = java.util.Base64.getMimeDecoder().decode(out);
            Files.createDirectories(file.getParent());
            Files.write(file, packed);
            build.console.line("Stashed " + name + " (" + packed.length + " bytes)");
            success(null);
        });
    }

    private Path file(String name) {
        return build.store.directory().resolve("stashes").resolve(name + ".tar.gz");
    }

    /** Which files an includes pattern means, as a shell program that packs them. */
    static final class Files_ implements Serializable {
        private Files_() {}

        static String tar(Arguments arguments) throws AbortException {
            String includes = arguments.text("includes", false);
            boolean defaults = arguments.flag("useDefaultExcludes", true);
            StringBuilder what = new StringBuilder();
            for (String pattern : (includes == null ? "**" : includes).split("\\s*,\\s*")) {
                what.append(' ').append(Patterns.find(pattern));
            }
            String prune = defaults ? " | grep -v -e '^\\./\\.git/' -e '/\\.git/'" : "";
            return "{" + what + " true; }" + prune + " | tar czf - -T -";
        }
    }
}
