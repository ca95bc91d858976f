package dev.slipway.runner.sandbox;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.slipway.runner.Played;
import hudson.model.Result;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a sandboxed script may call: the teachings of the recorded answers, and the list itself. */
class SandboxTest {
    private static final List<String> REFUSED = List.of("[1, 2].max()", "[1, 2].min()", "[1].head()", "[1].intersect([1])",
            "[1].withIndex()", "[1].asImmutable()", "[1].sort(false)",
            "[1].findAll()", "[1].stream()", "Objects.equals(1, 1)", "Optional.of(1)", "new LinkedHashMap()", "new TreeMap([:])",
                    "Integer.valueOf(1)", "Long.parseLong('1')",
            "new BigDecimal('1')", "'a'.repeat(2)", "'a'.strip()", "'a'.isBlank()", "'A'.uncapitalize()", "'1'.toBigDecimal()",
                    "java.time.Instant.now()", "java.time.Duration.ofMinutes(1)",
            "java.util.concurrent.TimeUnit.SECONDS.toMillis(1)", "new URI('x')", "'a'.bytes.encodeHex()",
                    "java.security.MessageDigest.getInstance('MD5')", "new groovy.json.JsonBuilder()",
            "new groovy.json.JsonSlurperClassic()", "new Properties()", "new ConfigSlurper()", "env['X']", "env.getEnvironment()",
                    "binding.variables", "currentBuild.rawBuild", "({ }).memoize()",
            "new RuntimeException('x')", "new IllegalStateException('x')", "new IllegalArgumentException('x')",
                    "new hudson.AbortException('x')", "System.exit(1)", "'ls'.execute()",
            "new File('/etc/passwd').text", "Class.forName('java.lang.System')", "this.class.classLoader", "Thread.currentThread()",
                    "jenkins.model.Jenkins.instance");
    private static final List<String> ALLOWED = List.of("[:]", "[]", "[1, 2].max { it }", "[1].unique()", "[1].groupBy { it }",
            "[1].collectEntries { [it, it] }", "Base64.encoder",
            "groovy.json.JsonOutput.toJson([a: 1])", "new Date().format('yyyy')", "String.format('%s', 1)",
                    "java.util.regex.Pattern.compile('a')", "UUID.randomUUID().toString()",
            "java.time.LocalDate.now()", "currentBuild.getBuildCauses()", "currentBuild.currentResult", "env.X", "env.\"${'X'}\"",
                    "params", "new Exception('x').message", "'a,b'.split(',')",
            "'a'.toUpperCase()", "[b: 1].containsKey('b')", "'a'.trim().isEmpty()", "(1 + 2) * 3");

    /** What pipelines use of lists, maps, texts, arrays, dates and numbers. */
    private static final List<String> ORDINARY = List.of("[a: 1, b: 2].findAll { it.value > 1 }",
            "('a,b'.split(',') as String[]).toList()", "'a'.padLeft(3)", "'a'.padLeft(3, '.')",
            "[1, 2].sum()", "[3, 1].sort()", "[a: 1].collect { k, v -> k + v }", "[1, 2, 3].split { it > 1 }",
                    "[[1, 2], [3]].collectMany { it }", "[1, 2].inject(0) { a, b -> a + b }",
            "[1, [2]].flatten()", "[1, 2].reverse()", "[1, 2, 3].take(2)", "[1, 2].every { it > 0 }", "[a: 1].subMap(['a'])",
                    "[a: 1].any { k, v -> v == 1 }", "'a-b'.tokenize('-')",
            "'abc'.indexOf('b')", "'abc' =~ /b/", "('abc' =~ /(b)/).find()", "'abc'.replaceAll('b', 'c')", "'x'.center(5, '*')",
                    "'7'.toInteger()", "'7'.isNumber()", "7.toString()",
            "7.intdiv(2)", "Math.max(1L, 2L)", "Math.abs(-1)", "new Date(0).time", "new Date().plus(1)",
                    "java.time.LocalDate.now().plusDays(1)", "Calendar.getInstance()",
            "'abc'[0..1]", "'abc'.each { it }", "['a', 'b'].eachWithIndex { each, index -> index }", "[2, 1].toSorted()",
                    "([1, 2] as Set).contains(1)", "['a'] as String[]", "(1..3).collect { it }",
            "[1, 2].findIndexOf { it == 2 }", "[a: 1].entrySet().size()", "[1, 2].count { it > 1 }", "[[1, 'a'], [2, 'b']].transpose()",
                    "[:].withDefault { 1 }", "'a'.multiply(2)",
            "Base64.encoder.encodeToString('abc'.bytes)", "new HashMap([a: 1])", "new StringBuilder('a').append('b').toString()",
                    "Integer.parseInt('7')", "'a'.compareTo('b')", "[3, 1].max { it }");

    private static final List<String> OF_OTHER_VERSIONS = List.of("method java.util.regex.MatchResult end java.lang.String",
            "method java.util.regex.MatchResult group java.lang.String",
            "method java.util.regex.MatchResult hasMatch", "method java.util.regex.MatchResult namedGroups",
                    "method java.util.regex.MatchResult start java.lang.String");

    /** Calls that Jenkins refuses with a sentence of their own. The classes are the script's. */
    private static final Map<String, String> SENTENCES = new LinkedHashMap<>();

    static {
        String groovy = "org.codehaus.groovy.runtime.DefaultGroovyMethods";
        SENTENCES.put("Date.parse('yyyy', '2020')",
                "No such static method found: staticMethod java.util.Date parse java.lang.String java.lang.String");
        SENTENCES.put("new Above().nothing(1, 'a')",
                "Scripts not permitted to use method groovy.lang.GroovyObject invokeMethod java.lang.String java.lang.Object (Above nothing java.lang.Integer java.lang.String)");
        SENTENCES.put("new Date(1, 'a')", "No such constructor found: new java.util.Date java.lang.Integer java.lang.String");
        SENTENCES.put("new Date()['a']", "Scripts not permitted to use staticMethod " + groovy
                + " getAt java.lang.Object java.lang.String");
        SENTENCES.put("new Above()['name']", "Scripts not permitted to use staticMethod " + groovy
                + " getAt java.lang.Object java.lang.String");
        SENTENCES.put("new Date()['a'] = 1", "Scripts not permitted to use staticMethod " + groovy
                + " putAt java.lang.Object java.lang.String java.lang.Object");
        SENTENCES.put("System.exit(1)", "Scripts not permitted to use staticMethod java.lang.System exit int");
        SENTENCES.put("'a'.nothing", "No such field found: field java.lang.String nothing");
        SENTENCES.put("'a'.nothing()",
                "No signature of method: java.lang.String.nothing() is applicable for argument types: () values: []");
        SENTENCES.put("'a'.metaClass", "Scripts not permitted to use staticMethod " + groovy + " getMetaClass java.lang.Object");
        SENTENCES.put("'abc'.execute()", "Scripts not permitted to use staticMethod " + groovy + " execute java.lang.String");
        SENTENCES.put("1.0.setScale(2, java.math.RoundingMode.UP)", "Scripts not permitted to use staticField java.math.RoundingMode UP");
        SENTENCES.put("[1, 2].stream()", "Scripts not permitted to use method java.util.Collection stream");
        SENTENCES.put("'a'.chars()", "Scripts not permitted to use method java.lang.CharSequence chars");
    }

    @TempDir
    Path folder;

    /** Each call in a try of its own; those of which the console says something else. */
    private List<String> others(List<String> calls, String answer) throws Exception {
        StringBuilder script = new StringBuilder();
        for (int i = 0; i < calls.size(); i++) {
            script.append("try { ").append(calls.get(i)).append("; echo 'call ").append(i).append(" allowed' } catch (e) { echo \"call ")
                    .append(i).append(" ${e}\" }\n");
        }
        Played.Begun build = new Played(folder, script.toString()).begin("--sandbox");
        assertEquals(Result.SUCCESS, build.result(), build.console());
        List<String> said = build.console().lines().filter(line -> line.startsWith("call ")).toList();
        assertEquals(calls.size(), said.size());
        List<String> others = new ArrayList<>();
        for (int i = 0; i < calls.size(); i++) {
            if (!said.get(i).contains(answer)) {
                others.add(calls.get(i) + ": " + said.get(i));
            }
        }
        return others;
    }

    @Test
    void refusesInJenkinsWords() throws Exception {
        List<String> calls = List.copyOf(SENTENCES.keySet());
        StringBuilder script = new StringBuilder("class Above { String name = 'n'; }\n");
        for (int i = 0; i < calls.size(); i++) {
            script.append("try { ").append(calls.get(i)).append("; echo 'call ").append(i).append(": allowed' } catch (e) { echo 'call ")
                    .append(i).append(": ' + e.message.readLines().get(0) }\n");
        }
        Played.Begun build = new Played(folder, script.toString()).begin("--sandbox");
        assertEquals(Result.SUCCESS, build.result(), build.console());
        List<String> said = build.console().lines().filter(line -> line.startsWith("call ")).toList();
        List<String> others = new ArrayList<>();
        for (int i = 0; i < calls.size(); i++) {
            String right = "call " + i + ": " + SENTENCES.get(calls.get(i));
            if (!said.get(i).equals(right)) {
                others.add(calls.get(i) + ": " + said.get(i));
            }
        }
        assertEquals(List.of(), others);
        long noted = build.console().lines()
                .filter(line -> line.endsWith(". Administrators can decide whether to approve or reject this signature.")).count();
        assertEquals(said.stream().filter(line -> line.contains("not permitted")).count(), noted, "only a signature can be approved");
    }

    @Test
    void refuses() throws Exception {
        assertEquals(List.of(), others(REFUSED, "RejectedAccessException"));
    }

    @Test
    void allowsWhatPipelinesUse() throws Exception {
        assertEquals(List.of(), others(ORDINARY, "allowed"));
    }

    @Test
    void allows() throws Exception {
        assertEquals(List.of(), others(ALLOWED, "allowed"));
    }

    /** What Jenkins' lists have of Java's and Groovy's classes exists, but for what only another version of Java has. */
    @Test
    void everyLineOfTheListIsASignature() {
        List<String> lines = Whitelist.all().stream().filter(line -> line.contains(" java.") || line.contains(" groovy.")
                || line.contains(" org.codehaus.")).toList();
        assertTrue(lines.size() > 1300, lines.size() + " signatures");
        List<String> missing = lines.stream().filter(line -> !exists(line)).sorted().toList();
        assertEquals(OF_OTHER_VERSIONS, missing);
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
