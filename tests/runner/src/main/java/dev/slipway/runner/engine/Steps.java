package dev.slipway.runner.engine;

import dev.slipway.runner.steps.*;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Supplier;

/** The steps by their names: a new one is a file in steps/ and a line here. */
public final class Steps {
    private static final String BASIC = "org.jenkinsci.plugins.workflow.steps.";
    private static final String SUPPORT = "org.jenkinsci.plugins.workflow.support.steps.";

    /** How it is made, and what Jenkins' warning about parameters that it does not have names. */
    private record Known(Supplier<Step> make, String type, List<String> parameters) {}

    /** The parameters that are texts, whichever step they are of. */
    private static final Set<String> TEXTS = Set.of("message", "buildResult", "stageResult", "id", "ok", "cancel", "submitter",
            "submitterParameter",
            "path", "file", "text", "encoding", "script", "label", "name", "includes", "excludes", "resource", "variable", "identifier",
                    "artifacts",
            "unit", "yaml", "cloud", "namespace", "inheritFrom", "serviceAccount", "shell");

    private final Map<String, Known> known = new TreeMap<>();

    /** Without those whose plugin is not there. */
    Steps(Set<String> absent) {
        add("archiveArtifacts", ArchiveArtifacts::new, "hudson.tasks.ArtifactArchiver",
                "artifacts allowEmptyArchive fingerprint excludes onlyIfSuccessful defaultExcludes caseSensitive followSymlinks");
        add("catchError", CatchError::new, BASIC + "CatchErrorStep", "message buildResult stageResult catchInterruptions");
        add("checkout", Checkout::new, BASIC + "scm.GenericSCMStep",
                "scm poll changelog $class branches userRemoteConfigs extensions doGenerateSubmoduleConfigurations submoduleCfg");
        add("container", Container::new, "org.csanchez.jenkins.plugins.kubernetes.pipeline.ContainerStep", "name shell");
        add("deleteDir", DeleteDir::new, BASIC + "DeleteDirStep", "");
        add("dir", Dir::new, BASIC + "PushdStep", "path");
        add("echo", Echo::new, BASIC + "EchoStep", "message");
        add("error", ErrorStep::new, BASIC + "ErrorStep", "message");
        add("fileExists", FileExists::new, BASIC + "FileExistsStep", "file");
        add("getContext", GetContext::new, BASIC + "GetContextStep", "type");
        add("input", Input::new, SUPPORT + "input.InputStep", "message id ok submitter submitterParameter parameters cancel");
        add("isUnix", IsUnix::new, BASIC + "IsUnixStep", "");
        add("junit", ArchiveArtifacts::new, "hudson.tasks.junit.pipeline.JUnitResultsStep",
                "testResults allowEmptyResults keepLongStdio healthScaleFactor skipPublishingChecks checksName");
        add("library", LibraryStep::new, "org.jenkinsci.plugins.workflow.libs.LibraryStep", "identifier changelog retriever");
        add("libraryResource", LibraryResource::new, "org.jenkinsci.plugins.workflow.libs.ResourceStep", "resource encoding");
        add("load", Load::new, "org.jenkinsci.plugins.workflow.cps.steps.LoadStep", "path");
        add("lock", Lock::new, "org.jenkins.plugins.lockableresources.LockStep",
                "resource label quantity variable skipIfLocked inversePrecedence priority reason extra");
        add("milestone", Milestone::new, SUPPORT + "MilestoneStep", "ordinal label unsafe");
        add("node", NodeStep::new, SUPPORT + "ExecutorStep", "label");
        add("parallel", Parallel::new, null, "");
        add("podTemplate", PodTemplateStep::new, "org.csanchez.jenkins.plugins.kubernetes.pipeline.PodTemplateStep",
                "yaml label namespace cloud name slaveConnectTimeout activeDeadlineSeconds agentContainer inheritFrom containers volumes serviceAccount showRawYaml yamlMergeStrategy idleMinutes workspaceVolume nodeSelector instanceCap runAsUser runAsGroup supplementalGroups podRetention annotations imagePullSecrets envVars hostNetwork agentInjection");
        add("properties", Properties::new, "org.jenkinsci.plugins.workflow.multibranch.JobPropertyStep", "properties");
        add("pwd", Pwd::new, BASIC + "PwdStep", "tmp");
        add("readFile", ReadFile::new, BASIC + "ReadFileStep", "file encoding");
        add("retry", Retry::new, BASIC + "RetryStep", "count conditions");
        add("sh", Shell::new, BASIC + "durable_task.ShellStep", "script returnStdout returnStatus label encoding");
        add("sleep", Sleep::new, BASIC + "SleepStep", "time unit");
        add("stage", StageStep::new, SUPPORT + "StageStep", "name concurrency");
        add("stash", Stash::new, SUPPORT + "stash.StashStep", "name includes excludes useDefaultExcludes allowEmpty");
        add("timeout", Timeout::new, BASIC + "TimeoutStep", "time unit activity");
        add("unstable", Unstable::new, BASIC + "UnstableStep", "message");
        add("unstash", Unstash::new, SUPPORT + "stash.UnstashStep", "name");
        add("waitUntil", WaitUntil::new, BASIC + "WaitForConditionStep", "initialRecurrencePeriod quiet");
        add("warnError", CatchError::new, BASIC + "WarnErrorStep", "message catchInterruptions");
        add("withCredentials", WithCredentials::new, "org.jenkinsci.plugins.credentialsbinding.impl.BindingStep", "bindings");
        add("withEnv", WithEnv::new, BASIC + "EnvStep", "overrides");
        add("writeFile", WriteFile::new, BASIC + "WriteFileStep", "file text encoding");
        known.keySet().removeAll(absent);
    }

    private void add(String name, Supplier<Step> make, String type, String parameters) {
        known.put(name, new Known(make, type, List.of(parameters.split(" "))));
    }

    boolean knows(String name) {
        return known.containsKey(name);
    }

    public Step create(String name) {
        return known.get(name).make().get();
    }

    Set<String> names() {
        return new TreeSet<>(known.keySet());
    }

    String type(String name) {
        return known.get(name).type();
    }

    List<String> parameters(String name) {
        return known.get(name).parameters();
    }

    void check(Arguments arguments) {
        List<String> parameters = parameters(arguments.step());
        parameters.stream().filter(TEXTS::contains).forEach(name -> arguments.requireText(name, name.equals(parameters.get(0))));
    }

    /** Jenkins' warning about named arguments that the step does not have, or null. */
    String unknown(Arguments arguments) {
        Known step = known.get(arguments.step());
        Set<String> unknown = new TreeSet<>(arguments.named().keySet());
        unknown.removeAll(Set.copyOf(step.parameters()));
        return unknown.isEmpty() || step.type() == null ? null : "WARNING: Unknown parameter(s) found for class type '" + step.type()
                + "': " + String.join(", ", unknown);
    }
}
