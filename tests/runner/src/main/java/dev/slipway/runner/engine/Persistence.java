package dev.slipway.runner.engine;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import org.jboss.marshalling.MarshallerFactory;
import org.jboss.marshalling.Marshalling;
import org.jboss.marshalling.MarshallingConfiguration;
import org.jboss.marshalling.SimpleClassResolver;
import org.jenkinsci.plugins.workflow.cps.CpsThreadGroup;

/** The program on disk, in the format that Jenkins uses as well; it names the field that cannot be written. */
final class Persistence {
    private static final MarshallerFactory RIVER = Marshalling.getProvidedMarshallerFactory("river");

    private Persistence() {}

    private static MarshallingConfiguration configuration(ClassLoader classes) {
        MarshallingConfiguration configuration = new MarshallingConfiguration();
        configuration.setClassResolver(new SimpleClassResolver(classes));
        return configuration;
    }

    /** Whole or not at all. */
    static void save(CpsThreadGroup program, ClassLoader classes, Path file) throws IOException {
        Path next = file.resolveSibling(file.getFileName() + ".next");
        Files.deleteIfExists(next);
        Files.createFile(next, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
        try (OutputStream out = Files.newOutputStream(next)) {
            var marshaller = RIVER.createMarshaller(configuration(classes));
            marshaller.start(Marshalling.createByteOutput(out));
            marshaller.writeObject(program);
            marshaller.finish();
        }
        Files.move(next, file, StandardCopyOption.ATOMIC_MOVE);
    }

    static CpsThreadGroup load(Path file, ClassLoader classes) throws IOException, ClassNotFoundException {
        try (InputStream in = Files.newInputStream(file)) {
            var unmarshaller = RIVER.createUnmarshaller(configuration(classes));
            unmarshaller.start(Marshalling.createByteInput(in));
            return unmarshaller.readObject(CpsThreadGroup.class);
        }
    }
}
