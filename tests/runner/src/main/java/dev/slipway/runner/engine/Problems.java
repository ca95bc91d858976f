package dev.slipway.runner.engine;

import hudson.AbortException;
import java.util.ArrayList;
import java.util.List;
import org.codehaus.groovy.control.MultipleCompilationErrorsException;

/** How the console shows what ended a build. */
public final class Problems {
    private static final List<String> KNOWN = List.of("java.", "groovy.", "org.codehaus.groovy.", "hudson.", "jenkins.", "org.jenkinsci.");

    private Problems() {}

    /** Its lines: an AbortException's text alone, anything else with its class and its place in the pipeline. */
    static List<String> describe(Throwable problem, ClassLoader scripts) {
        List<String> lines = new ArrayList<>();
        if (problem instanceof AbortException) {
            lines.add("ERROR: " + problem.getMessage());
        } else if (problem instanceof MultipleCompilationErrorsException) {
            problem.toString().lines().forEach(lines::add);
        } else if (problem instanceof LibrariesNotLoaded) {
            lines.addAll(describe(problem.getCause(), scripts));
            problem.toString().lines().forEach(lines::add);
        } else if (problem.getCause() != null && problem.getCause() != problem) {
            lines.addAll(describe(problem.getCause(), scripts));
            String text = problem.toString();
            String twice = ": " + problem.getCause();
            ("Caused: " + (text.endsWith(twice) ? text.substring(0, text.length() - twice.length()) : text)).lines().forEach(lines::add);
        } else {
            // A class of a library's own, or of one that a plugin brings, does not exist for the rest of Jenkins.
            boolean known = KNOWN.stream().anyMatch(problem.getClass().getName()::startsWith)
                    && !(problem.getClass().getClassLoader() instanceof groovy.lang.GroovyClassLoader);
            (known ? String.valueOf(problem) : "hudson.remoting.ProxyException: " + problem).lines().forEach(lines::add);
            for (StackTraceElement frame : problem.getStackTrace()) {
                String file = frame.getFileName();
                if (file != null && (file.endsWith(".groovy") || file.equals("WorkflowScript")) && frame.getLineNumber() > 0) {
                    lines.add("\tat " + frame);
                }
            }
        }
        return lines;
    }
}
