package dev.slipway.runner.engine;

import groovy.lang.GroovyClassLoader;
import groovy.lang.GroovyCodeSource;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.codehaus.groovy.ast.ClassNode;
import org.codehaus.groovy.control.CompilationUnit;
import org.codehaus.groovy.control.CompilerConfiguration;
import org.codehaus.groovy.control.SourceUnit;

/**
 * Compiles scripts and libraries, and keeps what it has compiled beside this program: a text that was
 * compiled before, beside the same library, is only loaded. What is kept is found by all that it depends on.
 */
final class ScriptLoader extends GroovyClassLoader {
    private static final Path KEPT = program().resolveSibling("compiled");
    private static final String PROGRAM = fingerprint(program());

    private final String kind;
    private final List<String> libraries = new ArrayList<>();

    /** The kind says how it compiles. */
    ScriptLoader(ClassLoader parent, CompilerConfiguration configuration, String kind) {
        super(parent, configuration);
        this.kind = kind;
    }

    private static Path program() {
        try {
            return Path.of(ScriptLoader.class.getProtectionDomain().getCodeSource().getLocation().toURI());
        } catch (URISyntaxException wrong) {
            throw new IllegalStateException(wrong);
        }
    }

    private static String fingerprint(Path file) {
        try {
            return Files.isRegularFile(file) ? Files.size(file) + " " + Files.getLastModifiedTime(file) : null;
        } catch (IOException lost) {
            throw new UncheckedIOException(lost);
        }
    }

    /** The folders src and vars of a library; what is compiled from now on may be made with them. */
    void add(Path root) throws IOException {
        addURL(root.resolve("src").toUri().toURL());
        addURL(root.resolve("vars").toUri().toURL());
        libraries.add(contents(root));
    }

    private static String contents(Path root) throws IOException {
        StringBuilder all = new StringBuilder();
        for (String folder : List.of("src", "vars")) {
            if (Files.isDirectory(root.resolve(folder))) {
                try (Stream<Path> files = Files.walk(root.resolve(folder))) {
                    for (Path file : files.filter(each -> each.toString().endsWith(".groovy")).sorted().toList()) {
                        all.append(root.relativize(file)).append('\0').append(Files.readString(file)).append('\0');
                    }
                }
            }
        }
        return hash(all.toString());
    }

    private static String hash(String text) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8)));
        } catch (NoSuchAlgorithmException none) {
            throw new IllegalStateException("Java has SHA-256", none);
        }
    }

    private String around() {
        return kind + libraries + (getParent() instanceof ScriptLoader parent ? parent.around() : "");
    }

    @Override
    public Class<?> parseClass(GroovyCodeSource source, boolean cached) {
        if (PROGRAM == null) {
            return super.parseClass(source, cached); // from folders, while it is being developed
        }
        Path file = KEPT.resolve(hash(String.join("\0", PROGRAM, around(), source.getName(), source.getScriptText())));
        try {
            if (Files.exists(file)) {
                return load(file);
            }
            compiled.set(new LinkedHashMap<>());
            Class<?> type = super.parseClass(source, cached);
            keep(file, type.getName(), compiled.get());
            return type;
        } catch (IOException lost) {
            throw new UncheckedIOException("what was compiled of " + source.getName(), lost);
        } finally {
            compiled.remove();
        }
    }

    /** The classes in the order in which they were made: none is needed by one before it. */
    private static void keep(Path file, String main, Map<String, byte[]> classes) throws IOException {
        Files.createDirectories(KEPT);
        Path next = Files.createTempFile(KEPT, "next", "");
        try (DataOutputStream out = new DataOutputStream(new java.io.BufferedOutputStream(Files.newOutputStream(next)))) {
            out.writeUTF(main);
            out.writeInt(classes.size());
            for (Map.Entry<String, byte[]> each : classes.entrySet()) {
                out.writeUTF(each.getKey());
                out.writeInt(each.getValue().length);
                out.write(each.getValue());
            }
        }
        Files.move(next, file, StandardCopyOption.ATOMIC_MOVE);
    }

    private synchronized Class<?> load(Path file) throws IOException {
        try (DataInputStream in = new DataInputStream(new java.io.ByteArrayInputStream(Files.readAllBytes(file)))) {
            String main = in.readUTF();
            Class<?> answer = null;
            for (int left = in.readInt(); left > 0; left--) {
                String name = in.readUTF();
                byte[] code = in.readNBytes(in.readInt());
                Class<?> type = getClassCacheEntry(name);
                if (type == null) {
                    type = defineClass(name, code);
                    setClassCacheEntry(type);
                }
                answer = name.equals(main) ? type : answer;
            }
            return answer;
        }
    }

    private final ThreadLocal<Map<String, byte[]>> compiled = new ThreadLocal<>();

    @Override
    protected ClassCollector createCollector(CompilationUnit unit, SourceUnit source) {
        return new Collector(new InnerLoader(this), unit, source);
    }

    /** Notes each class that is made. */
    private final class Collector extends ClassCollector {
        Collector(InnerLoader loader, CompilationUnit unit, SourceUnit source) {
            super(loader, unit, source);
        }

        @Override
        protected Class<?> createClass(byte[] code, ClassNode type) {
            if (compiled.get() != null) {
                compiled.get().put(type.getName(), code);
            }
            return super.createClass(code, type);
        }
    }
}
