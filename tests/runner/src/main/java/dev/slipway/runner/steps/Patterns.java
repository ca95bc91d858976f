package dev.slipway.runner.steps;

/** Ant's file patterns, turned into a shell program that lists the files they mean. https://ant.apache.org/manual/dirtasks.html#patterns */
final class Patterns {
    private Patterns() {}

    /** Prints the files below the current folder, one a line; nothing where there is none, or of a folder that cannot be read. */
    static String list(String includes, String excludes, boolean defaultExcludes) {
        StringBuilder program =
                new StringBuilder("find . -type f -o -type l 2> /dev/null | sed 's|^\\./||' | grep -E "
                + OnNode.quoted(regex(includes == null || includes.isBlank() ? "**" : includes)));
        if (excludes != null && !excludes.isBlank()) {
            program.append(" | grep -vE ").append(OnNode.quoted(regex(excludes)));
        }
        if (defaultExcludes) {
            program.append(" | grep -vE ")
                    .append(OnNode.quoted(
                    regex("**/.git/**, **/.gitignore, **/.gitattributes, **/.gitmodules, **/.svn/**, **/CVS/**, **/*~, **/.DS_Store")));
        }
        return program.append(" | sort").toString();
    }

    /** Of the files in $l, prints the first that the agent may not read, and its size. */
    static String unreadable() {
        return "echo \"$l\" | while IFS= read -r f; do [ -r \"$f\" ] || { echo \"$f\"; stat -c %s \"$f\"; break; }; done";
    }

    private static String regex(String patterns) {
        StringBuilder all = new StringBuilder("^(");
        for (String pattern : patterns.strip().split("\\s*,\\s*")) {
            if (all.length() > 2) {
                all.append('|');
            }
            String whole = pattern.endsWith("/") ? pattern + "**" : pattern;
            String text = whole.startsWith("./") ? whole.substring(2) : whole;
            for (int i = 0; i < text.length(); i++) {
                char each = text.charAt(i);
                if (text.startsWith("**/", i)) {
                    all.append("(.*/)?");
                    i += 2;
                } else if (text.startsWith("**", i)) {
                    all.append(".*");
                    i++;
                } else if (each == '*') {
                    all.append("[^/]*");
                } else if (each == '?') {
                    all.append("[^/]");
                } else {
                    all.append(Character.isLetterOrDigit(each) || "/_-".indexOf(each) >= 0 ? String.valueOf(each) : "[" + each + "]");
                }
            }
        }
        return all.append(")$").toString();
    }
}
