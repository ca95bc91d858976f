package dev.slipway.runner.steps;

import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.util.Base64;

/** A file's bytes as a step's text, in an encoding: a character set, or Base64 for what is no text. */
final class Texts {
    private static final String BINARY = "Base64";

    private Texts() {}

    private static Charset charset(String encoding) {
        return encoding == null || encoding.isEmpty() ? StandardCharsets.UTF_8 : Charset.forName(encoding);
    }

    static String decoded(byte[] bytes, String encoding) {
        return BINARY.equals(encoding) ? Base64.getEncoder().encodeToString(bytes) : new String(bytes, charset(encoding));
    }

    static byte[] encoded(String text, String encoding) {
        return BINARY.equals(encoding) ? Base64.getDecoder().decode(text) : text.getBytes(charset(encoding));
    }
}
