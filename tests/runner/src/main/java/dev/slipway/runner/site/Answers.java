package dev.slipway.runner.site;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.util.LinkedHashMap;
import java.util.Map;

/** How approvals are answered: yes, no, timeout, abort or ask; for all, or by the input's id. */
public final class Answers {
    private final Map<String, String> byId = new LinkedHashMap<>();
    private String all = "ask";

    /** ANSWER or ID=ANSWER. */
    public void add(String text) {
        int equals = text.indexOf('=');
        if (equals < 0) {
            all = checked(text);
        } else {
            byId.put(text.substring(0, equals).toLowerCase(), checked(text.substring(equals + 1)));
        }
    }

    private static String checked(String answer) {
        return switch (answer) {
            case "yes", "no", "timeout", "abort", "ask", "wait" -> answer;
            default -> throw new IllegalArgumentException("--answer " + answer + " is none of yes, no, timeout, abort, ask, wait");
        };
    }

    public String to(String id) {
        return byId.getOrDefault(id == null ? "" : id.toLowerCase(), all);
    }

    /** Asks on the terminal. */
    public static boolean ask(String ok) {
        System.out.print("[" + ok + "/abort] ");
        System.out.flush();
        try {
            String line = new BufferedReader(new InputStreamReader(System.in)).readLine();
            return line != null && (line.isBlank() || line.strip().toLowerCase().startsWith("y") || line.strip().equalsIgnoreCase(ok));
        } catch (IOException closed) {
            return false;
        }
    }
}
