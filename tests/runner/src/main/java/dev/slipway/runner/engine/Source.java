package dev.slipway.runner.engine;

import java.io.Serializable;
import java.util.List;
import java.util.Map;

/** Where the Jenkinsfile came from: scm. */
public final class Source implements Serializable {
    private final String url;
    private final String branch;
    private final String commit;

    public Source(String url, String branch, String commit) {
        this.url = url;
        this.branch = branch;
        this.commit = commit;
    }

    public String url() {
        return url;
    }

    public String branch() {
        return branch;
    }

    public String commit() {
        return commit;
    }

    /** What a script sees as scm. */
    public Map<String, Object> description() {
        return Map.of("$class", "GitSCM", "branches", List.of(Map.of("name", commit)), "userRemoteConfigs", List.of(Map.of("url", url)));
    }
}
