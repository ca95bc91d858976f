package dev.slipway.runner.engine;

import com.cloudbees.groovy.cps.CpsTransformer;
import com.cloudbees.groovy.cps.NonCPS;
import com.cloudbees.groovy.cps.TransformerConfiguration;
import groovy.lang.GroovyClassLoader;
import groovy.lang.GroovyCodeSource;
import hudson.AbortException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.codehaus.groovy.control.CompilerConfiguration;
import org.codehaus.groovy.control.customizers.ImportCustomizer;
import org.jenkinsci.plugins.workflow.libs.Library;

/** Compiles the Jenkinsfile and the libraries by Jenkins' rules: src/ on the class path, vars/ as global variables. */
public final class Loader {
    private static final Pattern LIBRARIES = Pattern.compile("@Library\\(\\s*(\\[[^\\]]*\\]|'[^']*'|\"[^\"]*\")");
    private static final Pattern QUOTED = Pattern.compile("['\"]([^'\"]+)['\"]");

    private final GroovyClassLoader classes;
    private final Map<String, Path> libraries = new HashMap<>();
    private final Map<String, Object> variables = new HashMap<>();

    Loader() {
        CompilerConfiguration configuration = new CompilerConfiguration();
        configuration.setScriptBaseClass(CpsScript.class.getName());
        configuration.setSourceEncoding("UTF-8");
        ImportCustomizer imports = new ImportCustomizer();
        imports.addImports(NonCPS.class.getName(), Library.class.getName());
        imports.addStarImports("hudson.model", "jenkins.model");
        CpsTransformer transformer = new CpsTransformer();
        transformer.setConfiguration(new TransformerConfiguration().withClosureType(com.cloudbees.groovy.cps.impl.CpsClosure.class));
        configuration.addCompilationCustomizers(imports, transformer);
        classes = new GroovyClassLoader(Loader.class.getClassLoader(), configuration);
    }

    /** The libraries that the text names, as name or name@version. */
    static java.util.List<String> named(String jenkinsfile) {
        java.util.List<String> found = new java.util.ArrayList<>();
        Matcher annotation = LIBRARIES.matcher(jenkinsfile);
        while (annotation.find()) {
            Matcher name = QUOTED.matcher(annotation.group(1));
            while (name.find()) {
                found.add(name.group(1));
            }
        }
        return found;
    }

    void addLibrary(String name, Path root) throws IOException {
        libraries.put(name, root);
        classes.addURL(root.resolve("src").toUri().toURL());
    }

    CpsScript script(String name, String text) throws ReflectiveOperationException {
        GroovyCodeSource source = new GroovyCodeSource(text, name, "/groovy/script");
        return (CpsScript) classes.parseClass(source, false).getDeclaredConstructor().newInstance();
    }

    /** The global variable of a library: one instance a build, as in Jenkins. */
    Object variable(String name) {
        if (variables.containsKey(name)) {
            return variables.get(name);
        }
        for (Path root : libraries.values()) {
            Path file = root.resolve("vars").resolve(name + ".groovy");
            if (Files.isRegularFile(file)) {
                try {
                    Object variable = script(name, Files.readString(file));
                    variables.put(name, variable);
                    return variable;
                } catch (IOException | ReflectiveOperationException problem) {
                    throw new IllegalStateException("loading " + file, problem);
                }
            }
        }
        return null;
    }

    public String resource(String name) throws IOException {
        for (Path root : libraries.values()) {
            Path file = root.resolve("resources").resolve(name).normalize();
            if (file.startsWith(root) && Files.isRegularFile(file)) {
                return Files.readString(file, StandardCharsets.UTF_8);
            }
        }
        throw new AbortException("No such library resource " + name + " could be found.");
    }

    ClassLoader classes() {
        return classes;
    }
}
