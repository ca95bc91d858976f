package dev.slipway.runner.steps;

import hudson.AbortException;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** checkout scm, or checkout of another commit by [$class: 'GitSCM', branches: ..., userRemoteConfigs: ...] */
public final class Checkout extends OnNode {
    private static final long serialVersionUID = 1;

    @Override
    protected void begin() throws Exception {
        if (!(arguments.named().containsKey("userRemoteConfigs"))) {
            throw new AbortException("checkout knows scm and GitSCM only");
        }
        String url = String.valueOf(((Map<?, ?>) ((List<?>) arguments.named().get("userRemoteConfigs")).get(0)).get("url"));
        String revision = String.valueOf(((Map<?, ?>) ((List<?>) arguments.named().get("branches")).get(0)).get("name"));
        say("Cloning repository " + url);
        String program = "export GIT_TERMINAL_PROMPT=0; { git init -q . && { git remote add origin " + quoted(url)
                + " 2>/dev/null || git remote set-url origin " + quoted(url) + "; }"
                + " && git -c safe.directory='*' fetch -q --tags origin '+refs/heads/*:refs/remotes/origin/*'"
                + " && { git -c advice.detachedHead=false checkout -q -f " + quoted(revision)
                + " || git checkout -q -f " + quoted("origin/" + revision) + "; } && git clean -q -f -d -x; } 2>&1"
                + " && printf '\\0' && git rev-parse HEAD && git log -1 --format=%s";
        capture(program, new byte[0], (code, out) -> {
            String text = new String(out, StandardCharsets.UTF_8).strip();
            if (code != 0) {
                failure(new AbortException("git " + url + ": " + text));
                return;
            }
            String[] known = text.substring(text.lastIndexOf('\0') + 1).split("\n", 2); // a subject is any text, and may be empty
            String commit = known[0];
            say("Checking out Revision " + commit);
            say("Commit message: \"" + (known.length > 1 ? known[1] : "") + "\"");
            Map<String, Object> answer = new LinkedHashMap<>();
            answer.put("GIT_COMMIT", commit);
            answer.put("GIT_BRANCH", build.source == null ? "detached" : build.source.branch());
            answer.put("GIT_URL", url);
            answer.put("GIT_PREVIOUS_COMMIT", build.store.previousCommit(false));
            answer.put("GIT_PREVIOUS_SUCCESSFUL_COMMIT", build.store.previousCommit(true));
            success(answer);
        });
    }
}
