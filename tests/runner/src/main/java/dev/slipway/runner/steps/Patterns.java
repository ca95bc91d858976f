package dev.slipway.runner.steps;
/** Ant's file patterns, as far as pipelines use them, turned into find. */
final class Patterns {
    private Patterns() {}

    /** A command that prints the files of one pattern, followed by a semicolon. */
    static String find(String pattern) {
        if (pattern.equals("**") || pattern.equals("**/*")) {
            return "find . -type f;";
        }
        if (pattern.endsWith("/**")) {
            return "find ./" + quoted(pattern.substring(0, pattern.length() - 3)) + " -type f 2>/dev/null;";
        }
        if (pattern.startsWith("**/")) {
            return "find . -type f -name " + quoted(pattern.substring(3)) + ";";
        }
        int slash = pattern.lastIndexOf('/');
        String directory = slash < 0 ? "." : "./" + pattern.substring(0, slash);
        return "find " + quoted(directory) + " -maxdepth 1 -type f -name " + quoted(pattern.substring(slash + 1)) + " 2>/dev/null;";
    }

    private static String quoted(String text) {
        return "'" + text.replace("'", "'\\''") + "'";
    }
}
