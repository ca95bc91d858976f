package dev.slipway.runner.site;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.file.Files;
import java.nio.file.Path;
import org.jenkinsci.plugins.credentialsbinding.impl.CredentialNotFoundException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SiteTest {
    @Test
    void whatACloudLogsInWithIsNoJobs(@TempDir Path folder) throws Exception {
        Path file = folder.resolve("jenkins.yaml");
        Files.writeString(file, """
                jenkins:
                  clouds:
                  - kubernetes: {name: own, credentialsId: token}
                  - kubernetes: {name: global, credentialsId: any}
                  - kubernetes: {name: none}
                credentials:
                  system:
                    domainCredentials:
                    - credentials:
                      - string: {scope: SYSTEM, id: token, secret: s3cret}
                      - string: {scope: GLOBAL, id: any, secret: other}
                """);
        Site site = new Site("admin", null);
        site.read(file);
        assertEquals("s3cret", site.token("own"));
        assertNull(site.token("none"));
        assertNull(site.token("nowhere"));
        assertThrows(CredentialNotFoundException.class, () -> site.credentials.get("token", "string"));
        assertEquals("other", site.credentials.get("any", "string").secret());
    }
}
