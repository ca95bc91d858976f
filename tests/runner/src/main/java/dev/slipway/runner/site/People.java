package dev.slipway.runner.site;

import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/** Users, their groups, and what each may: jenkins.securityRealm.local and jenkins.authorizationStrategy.globalMatrix. */
public final class People {
    /** Whoever is logged in. */
    private static final String AUTHENTICATED = "authenticated";
    private static final String ANONYMOUS = "anonymous";

    public static final String READ = "Job/Read";
    public static final String BUILD = "Job/Build";
    public static final String CANCEL = "Job/Cancel";
    public static final String CONFIGURE = "Job/Configure";
    private static final String ADMINISTER = "Overall/Administer";

    private final Map<String, String> ids = new LinkedHashMap<>();
    private final Map<String, String> names = new LinkedHashMap<>();
    private final Map<String, Set<String>> groups = new LinkedHashMap<>();
    private final Map<String, Set<String>> ofUsers = new LinkedHashMap<>();
    private final Map<String, Set<String>> ofGroups = new LinkedHashMap<>();
    private boolean anyoneMayAnything = true;

    void read(Map<?, ?> jenkins) {
        for (Object user : Yaml.list(Yaml.map(jenkins, "securityRealm", "local"), "users")) {
            String id = Yaml.text(user, "id");
            ids.put(key(id), id);
            names.put(key(id), Yaml.text(user, "name"));
            Yaml.list(user, "groups")
                    .forEach(group -> groups.computeIfAbsent(key(id), none -> new HashSet<>()).add(key(String.valueOf(group))));
        }
        Map<?, ?> strategy = Yaml.map(jenkins, "authorizationStrategy");
        anyoneMayAnything &= strategy.isEmpty();
        for (Object entry : Yaml.list(Yaml.map(strategy, "globalMatrix"), "entries")) {
            grant(ofUsers, Yaml.map(entry, "user"));
            grant(ofGroups, Yaml.map(entry, "group"));
        }
    }

    private static void grant(Map<String, Set<String>> to, Map<?, ?> entry) {
        if (!entry.isEmpty()) {
            Yaml.list(entry, "permissions")
                    .forEach(each -> to.computeIfAbsent(key(Yaml.text(entry, "name")), none -> new HashSet<>()).add(String.valueOf(each)));
        }
    }

    /** Names of users and groups are the same in any case of letters. */
    private static String key(String name) {
        return name.strip().toLowerCase();
    }

    /** The id of a user, however it was written at the login. */
    public String id(String user) {
        return ids.getOrDefault(key(user), user);
    }

    /** How the console names somebody. */
    public String fullName(String user) {
        String name = names.get(key(user));
        return name == null ? user : name;
    }

    private Set<String> groupsOf(String user) {
        Set<String> all = new HashSet<>(groups.getOrDefault(key(user), Set.of()));
        if (!key(user).equals(ANONYMOUS)) {
            all.add(AUTHENTICATED);
        }
        return all;
    }

    /** What may be done to a job is only for who sees it. */
    public boolean may(String user, String permission) {
        return anyoneMayAnything || isAdministrator(user) || has(user, permission) && (!permission.startsWith("Job/") || has(user, READ));
    }

    public boolean isAdministrator(String user) {
        return anyoneMayAnything || has(user, ADMINISTER);
    }

    private boolean has(String user, String permission) {
        return ofUsers.getOrDefault(key(user), Set.of()).contains(permission)
                || groupsOf(user).stream().anyMatch(group -> ofGroups.getOrDefault(group, Set.of()).contains(permission));
    }

    /** Whether one of these users or groups, separated by commas, is or has this user. */
    public boolean isAmong(String user, String usersAndGroups) {
        Set<String> groupsOf = groupsOf(user);
        return Arrays.stream(usersAndGroups.split(",")).map(People::key)
                .anyMatch(name -> name.equals(key(user)) || groupsOf.contains(name));
    }
}
