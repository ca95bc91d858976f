package dev.slipway.runner.engine;

import com.cloudbees.groovy.cps.CpsTransformer;
import com.cloudbees.groovy.cps.NonCPS;
import com.cloudbees.groovy.cps.TransformerConfiguration;
import dev.slipway.runner.sandbox.Transformer;
import dev.slipway.runner.sandbox.UntrustedTransformer;
import dev.slipway.runner.site.Libraries;
import groovy.lang.GroovyClassLoader;
import groovy.lang.GroovyCodeSource;
import hudson.AbortException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.codehaus.groovy.control.CompilerConfiguration;
import org.codehaus.groovy.control.customizers.ImportCustomizer;
import org.jenkinsci.plugins.workflow.cps.CpsClosure2;
import org.jenkinsci.plugins.workflow.libs.Library;
import org.jenkinsci.plugins.workflow.libs.LoadedClasses;

/**
 * Compiles the Jenkinsfile and the libraries by Jenkins' rules: src/ and vars/
 * on the class path. The Jenkinsfile is sandboxed, and so is a library that a folder configures;
 * one that an administrator configures for the whole site is trusted.
 */
public final class Loader {
    private static final Pattern LIBRARIES = Pattern.compile("@Library\\(\\s*(\\[[^\\]]*\\]|'[^']*'|\"[^\"]*\")");
    private static final Pattern QUOTED = Pattern.compile("['\"]([^'\"]+)['\"]");

    private final Build build;
    private final Map<String, LoadedLibrary> libraries = new LinkedHashMap<>();
    private final ScriptLoader trusted;
    private final ScriptLoader scripts;

    Loader(Build build) {
        this.build = build;
        trusted = new ScriptLoader(Loader.class.getClassLoader(), configuration(new Transformer()), "trusted");
        scripts = new ScriptLoader(trusted, configuration(build.options.sandbox ? new UntrustedTransformer() : new Transformer()),
                build.options.sandbox ? "untrusted" : "trusted");
    }

    private static CompilerConfiguration configuration(CpsTransformer transformer) {
        CompilerConfiguration configuration = new CompilerConfiguration();
        configuration.setScriptBaseClass(CpsScript.class.getName());
        configuration.setSourceEncoding("UTF-8");
        ImportCustomizer imports = new ImportCustomizer();
        imports.addImports(NonCPS.class.getName(), Library.class.getName());
        imports.addStarImports("hudson", "hudson.model", "jenkins", "jenkins.model");
        transformer.setConfiguration(new TransformerConfiguration().withClosureType(CpsClosure2.class));
        configuration.addCompilationCustomizers(imports, transformer);
        return configuration;
    }

    /** The libraries that the text names, each with its version or null. */
    static Map<String, String> named(String jenkinsfile) {
        Map<String, String> found = new LinkedHashMap<>();
        Matcher annotation = LIBRARIES.matcher(jenkinsfile);
        while (annotation.find()) {
            Matcher name = QUOTED.matcher(annotation.group(1));
            while (name.find()) {
                String[] parts = name.group(1).split("@", 2);
                found.put(parts[0], parts.length > 1 ? parts[1] : null);
            }
        }
        return found;
    }

    /** Loads a library, in the version that was chosen. */
    void add(Libraries.Chosen chosen) throws IOException, InterruptedException {
        boolean isTrusted = chosen.library().trusted() && !build.options.untrusted;
        Path root = build.site.libraries.files(chosen, build.store.directory());
        LoadedLibrary library = LoadedLibrary.of(chosen, isTrusted, root, build);
        build.console.line("Loading library " + library.name() + (library.version() == null ? "" : "@" + library.version()));
        library.replaced(build.options).forEach(file -> build.console.line("Replacing contents of " + file));
        library.note(build.store.directory());
        add(library);
    }

    /** Loads what an earlier process has loaded. */
    void addAgain() throws IOException {
        for (LoadedLibrary each : LoadedLibrary.of(build.store.directory())) {
            add(each);
        }
    }

    private void add(LoadedLibrary library) throws IOException {
        libraries.put(library.name(), library);
        loader(library.trusted()).add(library.root());
    }

    private ScriptLoader loader(boolean isTrusted) {
        return isTrusted ? trusted : scripts;
    }

    /** The step library: what it loads, or has loaded before, and whether its classes are sought among the trusted ones. */
    public LoadedClasses load(String name, String version) throws IOException, InterruptedException {
        Libraries.Chosen chosen = build.site.libraries.atRunTime(name, version);
        if (libraries.containsKey(name)) {
            build.console.line("Only using first definition of library " + name);
        } else {
            add(chosen);
        }
        return new LoadedClasses(name, chosen.library().trusted() && !build.options.untrusted);
    }

    /** A class of this library, by its name; one that another library has made is refused. */
    public Class<?> load(String library, boolean isTrusted, String name) throws ClassNotFoundException, IllegalAccessException {
        ScriptLoader loader = loader(isTrusted);
        Class<?> type = loader.loadClass(name);
        ClassLoader defined = type.getClassLoader() instanceof GroovyClassLoader.InnerLoader inner ? inner.getParent()
                : type.getClassLoader();
        if (defined != loader) {
            throw new IllegalAccessException("cannot access " + type + " via library handle: " + defined + " is not " + loader);
        }
        String file = name.replaceFirst("\\$.*", "").replace('.', '/') + ".groovy";
        Path sources = libraries.get(library).root().resolve("src");
        if (!Files.exists(sources.resolve(file))) {
            Path actual = libraries.values().stream().filter(each -> each.trusted() == isTrusted)
                    .flatMap(each -> Stream.of(each.root().resolve("src").resolve(file), each.root().resolve("vars").resolve(file)))
                    .filter(Files::exists).findFirst().orElse(Path.of(file));
            throw new IllegalAccessException(name + " was defined in " + actual.toUri() + " which was not inside " + sources.toUri());
        }
        return type;
    }

    CpsScript script(String text) throws ReflectiveOperationException {
        GroovyCodeSource source = new GroovyCodeSource(text, "WorkflowScript", "/groovy/script");
        return (CpsScript) scripts.parseClass(source, false).getDeclaredConstructor().newInstance();
    }

    /** The value of a script's text, which evaluate gives. */
    Object evaluate(String text) throws ReflectiveOperationException {
        GroovyCodeSource source = new GroovyCodeSource(text, "Script" + build.nextScript(), "/groovy/script");
        return ((CpsScript) scripts.parseClass(source, false).getDeclaredConstructor().newInstance()).run();
    }

    /** The global variable of a library: one instance a build, as in Jenkins. */
    Object variable(String name) {
        Map<String, Object> variables = build.state.variables;
        if (!variables.containsKey(name)
                && libraries.values().stream()
                        .anyMatch(each -> Files.isRegularFile(each.root().resolve("vars").resolve(name + ".groovy")))) {
            try {
                variables.put(name, scripts.loadClass(name).getDeclaredConstructor().newInstance());
            } catch (ReflectiveOperationException problem) {
                throw new IllegalStateException("loading the library's " + name, problem);
            }
        }
        return variables.get(name);
    }

    /** A file below resources/ of the one library that has it. */
    public byte[] resource(String name) throws IOException {
        Map<String, Path> found = new TreeMap<>();
        for (LoadedLibrary library : libraries.values()) {
            Path folder = library.root().resolve("resources");
            Path file = folder.resolve(name).normalize();
            if (!file.startsWith(folder.normalize())) {
                throw new AbortException(name + " references a file that is not contained within the library: " + library.name());
            }
            if (Files.exists(file)) {
                found.put(library.name(), file);
            }
        }
        if (found.isEmpty()) {
            throw new AbortException("No such library resource " + name + " could be found.");
        }
        if (found.size() > 1) {
            throw new AbortException("Library resource " + name + " ambiguous among libraries " + found.keySet());
        }
        return Files.readAllBytes(found.values().iterator().next());
    }

    ClassLoader classes() {
        return scripts;
    }
}
