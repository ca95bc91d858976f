package dev.slipway.runner.engine;

import dev.slipway.runner.steps.*;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Supplier;

/** The steps by their names: a new one is a file in steps/ and a line here. */
public final class Steps {
    private final Map<String, Supplier<Step>> known = new TreeMap<>();

    Steps() {
        known.put("archiveArtifacts", ArchiveArtifacts::new);
        known.put("catchError", CatchError::new);
        known.put("checkout", Checkout::new);
        known.put("container", Container::new);
        known.put("dir", Dir::new);
        known.put("echo", Echo::new);
        known.put("error", ErrorStep::new);
        known.put("fileExists", FileExists::new);
        known.put("input", Input::new);
        known.put("isUnix", IsUnix::new);
        known.put("junit", ArchiveArtifacts::new);
        known.put("libraryResource", LibraryResource::new);
        known.put("lock", Lock::new);
        known.put("milestone", Milestone::new);
        known.put("node", NodeStep::new);
        known.put("parallel", Parallel::new);
        known.put("podTemplate", PodTemplateStep::new);
        known.put("properties", Properties::new);
        known.put("pwd", Pwd::new);
        known.put("readFile", ReadFile::new);
        known.put("retry", Retry::new);
        known.put("sh", Shell::new);
        known.put("sleep", Sleep::new);
        known.put("stage", StageStep::new);
        known.put("stash", Stash::new);
        known.put("timeout", Timeout::new);
        known.put("unstable", Unstable::new);
        known.put("unstash", Unstash::new);
        known.put("warnError", CatchError::new);
        known.put("withCredentials", WithCredentials::new);
        known.put("withEnv", WithEnv::new);
        known.put("writeFile", WriteFile::new);
    }

    boolean knows(String name) {
        return known.containsKey(name);
    }

    Step create(String name) {
        return known.get(name).get();
    }

    java.util.Set<String> names() {
        return new TreeSet<>(known.keySet());
    }
}
