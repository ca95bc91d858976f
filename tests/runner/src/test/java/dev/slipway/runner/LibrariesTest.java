package dev.slipway.runner;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import hudson.model.Result;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Which library a name means, and which is trusted: a folder's, one of the whole site, both; and what a replay may change of them. */
class LibrariesTest {
    private static final String ASKS = "System.getProperty('java.version'); echo \"=> trusted ${where()}\"";
    private static final String SAYS = """
            def may = { String what, Closure body ->
                String answer
                try { answer = "${body()}" } catch (Throwable caught) { answer = "${caught.class.simpleName} ${caught.message?.readLines()?.getAt(0)}" }
                echo "=> ${what}: ${answer}"
            }
            """;

    @TempDir
    Path folder;

    @BeforeEach
    void libraries() throws IOException {
        for (String name : List.of("global", "folder", "inner", "open")) {
            write(name + "/vars/where.groovy", "String call() { return '" + name + "' }");
            write(name + "/vars/asks.groovy", "void call() { try { " + ASKS
                    + " } catch (e) { echo \"=> refused ${where()} ${e.class.simpleName}\" } }");
            write(name + "/src/pkg/Named.groovy", "package pkg\nclass Named implements Serializable { static String name() { return '"
                    + name + "' } }");
            write(name + "/vars/only" + name.substring(0, 1).toUpperCase() + name.substring(1) + ".groovy", "String call() { return '"
                    + name + "' }");
        }
        write("global/src/only/Global.groovy", "package only\nclass Global { static String name() { return 'global' } }");
        Files.writeString(folder.resolve("site.yaml"), """
                jenkins:
                  securityRealm: {local: {users: [{id: admin, name: Ada Admin}, {id: dave, name: Dave Doe}, {id: bob, name: Bob Doe}]}}
                  authorizationStrategy:
                    globalMatrix:
                      entries:
                      - user: {name: admin, permissions: [Overall/Administer]}
                      - user: {name: dave, permissions: [Job/Read, Job/Build, Job/Configure]}
                      - user: {name: bob, permissions: [Job/Read, Job/Build]}
                folders:
                  team:
                    libraries:
                    - {name: shared, defaultVersion: folders, retriever: {modernSCM: {scm: {git: {remote: FOLDER/folder}}}}}
                    - {name: pinned, defaultVersion: folders, retriever: {modernSCM: {scm: {git: {remote: FOLDER/folder}}}}}
                  team/inner:
                    libraries:
                    - {name: deep, defaultVersion: main, implicit: true, retriever: {modernSCM: {scm: {git: {remote: FOLDER/inner}}}}}
                unclassified:
                  globalUntrustedLibraries:
                    libraries:
                    - {name: open, defaultVersion: main, retriever: {modernSCM: {scm: {git: {remote: FOLDER/open}}}}}
                  globalLibraries:
                    libraries:
                    - {name: shared, retriever: {modernSCM: {scm: {git: {remote: FOLDER/global}}}}}
                    - {name: pinned, defaultVersion: main, allowVersionOverride: false, retriever: {modernSCM: {scm: {git: {remote: FOLDER/global}}}}}
                    - {name: lone, defaultVersion: main, retriever: {modernSCM: {scm: {git: {remote: FOLDER/global}}}}}
                """.replace("FOLDER", folder.toString()));
    }

    private void write(String file, String text) throws IOException {
        Files.createDirectories(folder.resolve(file).getParent());
        Files.writeString(folder.resolve(file), text);
    }

    private List<String> arguments(String in, String... more) {
        List<String> all = new ArrayList<>(List.of("--sandbox", "--config", folder.resolve("site.yaml").toString()));
        if (in != null) {
            all.addAll(List.of("--folder", in));
        }
        all.addAll(List.of(more));
        return all;
    }

    private Played.Begun played(String in, String script, String... more) throws Exception {
        Played.Begun build = new Played(folder, script).begin(arguments(in, more).toArray(String[]::new));
        build.result();
        return build;
    }

    private static List<String> said(Played.Begun build) {
        return build.console().lines().filter(line -> line.startsWith("=> ")).toList();
    }

    @Test
    void aFoldersLibraryIsSandboxedAndOneOfTheSiteIsNot() throws Exception {
        assertEquals(List.of("=> refused folder RejectedAccessException"), said(played("team", "@Library('shared') _\nasks()")));
        assertEquals(List.of("=> trusted global"), said(played("team", "@Library('lone') _\nasks()")));
        assertEquals(List.of("=> refused open RejectedAccessException"), said(played("team", "@Library('open') _\nasks()")));
        assertEquals(List.of("=> trusted global"), said(played(null, "@Library('shared@main') _\nasks()")));
    }

    @Test
    void ofOneNameTheNearestFoldersCounts() throws Exception {
        Played.Begun build = played("team", "@Library('shared') _\necho \"=> ${where()} ${pkg.Named.name()}\"");
        assertEquals(List.of("=> folder folder"), said(build));
        assertTrue(build.console().contains("Loading library shared@folders"), build.console());
        assertEquals(List.of("=> inner"), said(played("team/inner", "echo \"=> ${where()}\"")), "implicit");
        Played.Begun outside = played("other", "@Library('deep') _\necho \"=> ${where()}\"");
        assertTrue(outside.console().contains("Could not find any definition of libraries [deep]"), outside.console());
    }

    @Test
    void aTrustedClassShadowsOneOfAFolder() throws Exception {
        assertEquals(List.of("=> global global folder"),
                said(played("team", "@Library(['shared', 'lone']) _\necho \"=> ${where()} ${pkg.Named.name()} ${onlyFolder()}\"")));
    }

    @Test
    void theStepMixesTheFoldersAndTheSites() throws Exception {
        Played.Begun late = played(
                "team", SAYS + "def l = library('shared')\nmay('version') { 'loaded' }\nmay('where') { where() }\nmay('class') { l.pkg.Named.name() }\nasks()");
        assertEquals(List.of("=> version: loaded", "=> where: global", "=> class: global", "=> trusted global"), said(late));
        assertTrue(late.console().contains("Loading library shared@folders"), late.console());
        Played.Begun both = played(
                "team", "@Library('shared') _\n" + SAYS
                + "def l = library('shared')\nmay('where') { where() }\nmay('class') { l.pkg.Named.name() }");
        assertEquals(List.of("=> where: folder", "=> class: ClassNotFoundException pkg.Named"), said(both));
        assertTrue(both.console().contains("Only using first definition of library shared"), both.console());
        assertEquals(List.of("=> pinned: AbortException Version override not permitted for library pinned"),
                said(played("team", SAYS + "may('pinned') { library('pinned') }")));
        assertEquals(List.of("=> pinned: global"), said(played(null, SAYS + "may('pinned') { library('pinned'); where() }")));
        assertEquals(List.of("=> none: AbortException No library named none found"),
                said(played("team", SAYS + "may('none') { library('none') }")));
        assertEquals(List.of("=> no version: AbortException No version specified for library bare"),
                said(played("team", SAYS + "may('no version') { library('bare') }", "--library", "bare=/nowhere.git")));
    }

    @Test
    void aHandleGivesTheClassesOfItsOwnLibrary() throws Exception {
        List<String> said = said(played("team", "@Library('lone') _\n" + SAYS + """
                def open = library('open')
                def lone = library('lone')
                may('own') { lone.only.Global.name() }
                may('of another') { open.only.Global.name() }
                may('none') { lone.only.Nothing.name() }
                """));
        assertEquals("=> own: global", said.get(0));
        assertTrue(said.get(1).startsWith("=> of another: IllegalAccessException cannot access class only.Global via library handle"),
                said.get(1));
        assertEquals("=> none: ClassNotFoundException only.Nothing", said.get(2));
    }

    private static final String TWICE =
            "@Library(['shared', 'lone']) _\nproperties([parameters([string(name: 'tag', defaultValue: 'none')])])\n"
            + "echo \"=> ${onlyFolder()} ${onlyGlobal()} ${params.tag} ${currentBuild.buildCauses*.shortDescription}\"";

    private Played.Begun replayed(Played job, String... more) throws Exception {
        Played.Begun build = job.begin(arguments("team", more).toArray(String[]::new));
        assertEquals(Result.SUCCESS, build.result(), build.console());
        return build;
    }

    @Test
    void aReplayMayChangeWhatIsNotTrusted() throws Exception {
        Played job = new Played(folder, TWICE);
        replayed(job);
        assertEquals(List.of("=> folder global x [Started by user Ada Admin]"), said(replayed(job, "--param", "tag=x")));
        write("changed", "String call() { return 'changed' }");
        String change = "onlyFolder=" + folder.resolve("changed");
        Played.Begun changed = replayed(job, "--replay", "2", "--replace", change, "--user", "dave");
        assertEquals(List.of("=> changed global x [Started by user Dave Doe, Replayed #2]"), said(changed));
        assertTrue(changed.console().contains("Replacing contents of vars/onlyFolder.groovy"), changed.console());
        assertEquals(List.of("=> changed global x [Started by user Ada Admin, Replayed #3]"), said(replayed(job, "--replay", "3")),
                "a replay of the replay");
        assertEquals(List.of("=> folder global none [Started by user Ada Admin]"), said(replayed(job)),
                "a new build has the library's own");
        for (String trusted : List.of("onlyGlobal", "pkg.Nobody")) {
            var refused = assertThrows(
                    IllegalArgumentException.class,
                    () -> replayed(job, "--replay", "2", "--replace", trusted + "=" + folder.resolve("changed")));
            assertTrue(refused.getMessage().contains("Unrecognized script name among [asks, onlyFolder, pkg.Named, where]"),
                    refused.getMessage());
        }
        assertThrows(IllegalArgumentException.class, () -> replayed(job, "--replay", "2", "--user", "bob"), "who may not configure");
        assertThrows(IllegalArgumentException.class, () -> replayed(job, "--replace", change), "no replay");
        assertThrows(IllegalArgumentException.class, () -> replayed(job, "--replay", "99"), "no such build");
    }
}
