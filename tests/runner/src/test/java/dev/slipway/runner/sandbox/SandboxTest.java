package dev.slipway.runner.sandbox;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.slipway.runner.Played;
import hudson.model.Result;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a sandboxed script may call: the teachings of the recorded answers, and the list itself. */
class SandboxTest {
    private static final List<String> REFUSED = List.of("[1, 2].max()", "[1, 2].min()", "[1].head()", "[1].intersect([1])", "[1].withIndex()", "[1].asImmutable()", "[1].sort(false)",
            "[1].findAll()", "[1].stream()", "Objects.equals(1, 1)", "Optional.of(1)", "new LinkedHashMap()", "new TreeMap([:])", "Integer.valueOf('1')", "Long.parseLong('1')",
            "new BigDecimal('1')", "'a'.repeat(2)", "'a'.strip()", "'a'.isBlank()", "'A'.uncapitalize()", "'1'.toBigDecimal()", "java.time.Instant.now()", "java.time.Duration.ofMinutes(1)",
            "java.util.concurrent.TimeUnit.SECONDS.toMillis(1)", "new URI('x')", "'a'.bytes.encodeHex()", "java.security.MessageDigest.getInstance('MD5')", "new groovy.json.JsonBuilder()",
            "new groovy.json.JsonSlurperClassic()", "new Properties()", "new ConfigSlurper()", "env['X']", "env.getEnvironment()", "binding.variables", "currentBuild.rawBuild", "({ }).memoize()",
            "new RuntimeException('x')", "new IllegalStateException('x')", "new IllegalArgumentException('x')", "new hudson.AbortException('x')", "System.exit(1)", "'ls'.execute()",
            "new File('/etc/passwd').text", "Class.forName('java.lang.System')", "this.class.classLoader", "Thread.currentThread()", "jenkins.model.Jenkins.instance");
    private static final List<String> ALLOWED = List.of("[:]", "[]", "[1, 2].max { it }", "[1].unique()", "[1].groupBy { it }", "[1].collectEntries { [it, it] }", "Base64.encoder",
            "groovy.json.JsonOutput.toJson([a: 1])", "new Date().format('yyyy')", "String.format('%s', 1)", "java.util.regex.Pattern.compile('a')", "UUID.randomUUID().toString()",
            "java.time.LocalDate.now()", "currentBuild.getBuildCauses()", "currentBuild.currentResult", "env.X", "env.\"${'X'}\"", "params", "new Exception('x').message", "'a,b'.split(',')",
            "'a'.toUpperCase()", "[b: 1].containsKey('b')", "'a'.trim().isEmpty()", "(1 + 2) * 3");

    @TempDir
    Path folder;

    /** Each call in a try of its own; what the console says of it. */
    private List<String> said(List<String> calls) throws Exception {
        StringBuilder script = new StringBuilder();
        for (int i = 0; i < calls.size(); i++) {
            script.append("try { ").append(calls.get(i)).append("; echo 'call ").append(i).append(" allowed' } catch (e) { echo \"call ").append(i).append(" ${e.class.simpleName}\" }\n");
        }
        Played.Begun build = new Played(folder, script.toString()).begin("--sandbox");
        assertEquals(Result.SUCCESS, build.result(), build.console());
        return build.console().lines().filter(line -> line.startsWith("call ")).toList();
    }

    private static List<String> all(List<String> calls, String answer) {
        List<String> lines = new ArrayList<>();
        for (int i = 0; i < calls.size(); i++) {
            lines.add("call " + i + " " + answer);
        }
        return lines;
    }

    @Test
    void refuses() throws Exception {
        assertEquals(all(REFUSED, "RejectedAccessException"), said(REFUSED));
    }

    @Test
    void allows() throws Exception {
        assertEquals(all(ALLOWED, "allowed"), said(ALLOWED));
    }

    /** A line that stands for nothing would never allow anything. */
    @Test
    void everyLineOfTheListIsASignature() throws IOException {
        List<String> lines;
        try (var in = Whitelist.class.getResourceAsStream("whitelist.txt")) {
            lines = new String(in.readAllBytes(), StandardCharsets.UTF_8).lines().filter(line -> !line.isBlank() && !line.startsWith("#")).toList();
        }
        assertTrue(lines.size() > 200, lines.size() + " lines");
        assertEquals(lines.stream().distinct().toList(), lines, "none stands there twice");
        assertEquals(List.of(), lines.stream().filter(line -> !exists(line)).toList());
    }

    private static boolean exists(String line) {
        String[] words = line.split(" ");
        try {
            Class<?> type = Class.forName(words[1]);
            List<String> known = new ArrayList<>();
            List.of(type.getDeclaredMethods()).forEach(method -> known.add(Signatures.of(method)));
            List.of(type.getDeclaredConstructors()).forEach(constructor -> known.add(Signatures.of(constructor)));
            List.of(type.getDeclaredFields()).forEach(field -> known.add(Signatures.of(field)));
            return known.contains(line);
        } catch (ClassNotFoundException none) {
            return false;
        }
    }
}
