package dev.slipway.runner.engine;

import com.cloudbees.groovy.cps.CpsTransformer;
import com.cloudbees.groovy.cps.NonCPS;

import com.cloudbees.groovy.cps.TransformerConfiguration;
import dev.slipway.runner.sandbox.Transformer;
import dev.slipway.runner.sandbox.UntrustedTransformer;
import groovy.lang.GroovyCodeSource;
import hudson.AbortException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.codehaus.groovy.control.CompilerConfiguration;
import org.codehaus.groovy.control.customizers.ImportCustomizer;
import org.jenkinsci.plugins.workflow.cps.CpsClosure2;
import org.jenkinsci.plugins.workflow.libs.Library;

/**
 * Compiles the Jenkinsfile and the libraries by Jenkins' rules: src/ and vars/
 * on the class path. The Jenkinsfile is sandboxed; a library is where an
 * administrator has configured it, and not where it is a folder's.
 */
public final class Loader {
    private static final Pattern LIBRARIES = Pattern.compile("@Library\\(\\s*(\\[[^\\]]*\\]|'[^']*'|\"[^\"]*\")");
    private static final Pattern QUOTED = Pattern.compile("['\"]([^'\"]+)['\"]");

    private final Build build;
    private final Map<String, Path> libraries = new LinkedHashMap<>();
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

    /** The libraries that the text names, as name or name@version. */
    static List<String> named(String jenkinsfile) {
        List<String> found = new ArrayList<>();
        Matcher annotation = LIBRARIES.matcher(jenkinsfile);
        while (annotation.find()) {
            Matcher name = QUOTED.matcher(annotation.group(1));
            while (name.find()) {
                found.add(name.group(1));
            }
        }
        return found;
    }

    /** Loads NAME or NAME@VERSION; answers the version. */
    public String addLibrary(String identifier) throws IOException, InterruptedException {
        String[] parts = identifier.split("@", 2);
        String version = build.site.libraries.version(parts[0], parts.length > 1 ? parts[1] : null);
        Path root = build.site.libraries.files(parts[0], version, build.store.directory());
        libraries.put(parts[0], root);
        (build.options.untrusted ? scripts : trusted).add(root);
        return version;
    }

    /** A class of a library, by its name. */
    public Class<?> load(String name) throws ClassNotFoundException {
        return scripts.loadClass(name);
    }

    public boolean has(String library) {
        return libraries.containsKey(library);
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
                && libraries.values().stream().anyMatch(root -> Files.isRegularFile(root.resolve("vars").resolve(name + ".groovy")))) {
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
        Map<String, Path> found = new LinkedHashMap<>();
        for (Map.Entry<String, Path> library : libraries.entrySet()) {
            Path folder = library.getValue().resolve("resources");
            Path file = folder.resolve(name).normalize();
            if (!file.startsWith(folder.normalize())) {
                throw new AbortException(name + " references a file that is not contained within the library: " + library.getKey());
            }
            if (Files.exists(file)) {
                found.put(library.getKey(), file);
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
