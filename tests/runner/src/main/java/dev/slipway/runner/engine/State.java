package dev.slipway.runner.engine;

import hudson.model.Result;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import jenkins.model.CauseOfInterruption;

/** What a build has come to, beside its program; written with it. */
public final class State implements Serializable {
    private static final long serialVersionUID = 1;

    public Result result;
    public String description;
    public String displayName;
    public boolean keepLog;
    /** Set by env.X = ... */
    public final Map<String, String> environment = new LinkedHashMap<>();
    /** What was given to the build, or was the default of its job when it began. */
    public final Map<String, Object> parameters = new LinkedHashMap<>();
    public final List<Map<String, Object>> causes = new ArrayList<>();
    /** The global variables of libraries: one instance a build. */
    public final Map<String, Object> variables = new LinkedHashMap<>();
    public final Stages stages = new Stages();
    /** The actions of --at that have been done, by their step's number. */
    public final Set<Integer> acted = new LinkedHashSet<>();
    /** The causes of interruptions that the console has named. */
    public final Set<CauseOfInterruption> told = new HashSet<>();
    /** How long the log was when this was written, and what was about to be added to it. */
    public long logLength;
    public String logNext = "";
    public int steps;
    public int scripts;
    /** Milliseconds by which the build's clock is ahead of the machine's. */
    public long skipped;
    public Integer milestone;
    /** What the build was stopped with from outside, whatever its program made of that. */
    public Result stopped;
}
