package dev.slipway.runner.nodes;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * What a runtime that started nothing says of the container: the first three as containerd with runc answered, the others as it words a
 * container that ends meanwhile.
 */
class PodNodeTest {
    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "true  | unable to start container process: exec: \"sh\": executable file not found in $PATH: unknown",
        "true  | unable to start container process: exec: \"/nope/sh\": stat /nope/sh: no such file or directory: unknown",
        "true  | unable to start container process: exec: \"/etc/passwd\": permission denied: unknown",
        "false | unable to start container process: error writing config to pipe: write init-p: broken pipe: unknown",
        "false | failed to load task: no running task found: task 8c0e not found: not found",
    })
    void aContainerThatHasJustEndedIsNoneThatLacksTheShell(boolean lacks, String said) {
        String message = "error executing command in container: failed to exec in container: failed to start exec \"84d6\": OCI runtime exec failed: exec failed: " + said;
        assertEquals(lacks, PodNode.lacksTheShell(message));
    }
}
