package dev.slipway.runner.nodes;

import hudson.AbortException;
import io.fabric8.kubernetes.api.model.Status;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.dsl.ExecListener;
import io.fabric8.kubernetes.client.dsl.ExecWatch;
import io.fabric8.kubernetes.client.http.WebSocketHandshakeException;
import java.io.ByteArrayOutputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;

/**
 * A pod of the Kubernetes cloud. Programs are started in its containers by exec:
 * in the agent's where Jenkins' agent would start them itself.
 */
public final class PodNode implements Node {
    private static final long serialVersionUID = 1;
    /** Says the agent's environment if there is an agent: a pod whose main container only sleeps never connects. */
    private static final String AGENT = "grep -qs '[j]enkins-agent' /proc/[0-9]*/cmdline && env -0";

    /** HTTP's for a request that nobody will answer otherwise; too many of them (429) is another thing. */
    private static final Set<Integer> REFUSALS = Set.of(400, 401, 403, 404);
    private static final int PATIENCE = 10;
    private static final int MESSAGE = 1 << 20;

    private final String name;
    private final String cloud;
    private final String namespace;
    private final String workspace;
    private final Map<String, String> environment;

    private PodNode(String name, String cloud, String namespace, String workspace, Map<String, String> environment) {
        this.name = name;
        this.cloud = cloud;
        this.namespace = namespace;
        this.workspace = workspace;
        this.environment = environment;
    }

    /** The node, with a workspace for this job, once its agent is there; else null. */
    static PodNode connect(String name, String cloud, String namespace, String job) throws Exception {
        String workspace = AgentPod.DIRECTORY + "/workspace/" + job;
        PodNode node = new PodNode(name, cloud, namespace, workspace, new LinkedHashMap<>());
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        if (node.start(Place.agent(AgentPod.DIRECTORY), AGENT + " && mkdir -p " + quoted(workspace), Map.of(), new byte[0], out)
                .await() != 0) {
            return null;
        }
        for (String variable : out.toString(StandardCharsets.UTF_8).split("\0")) {
            int equals = variable.indexOf('=');
            if (equals > 0) {
                node.environment.put(variable.substring(0, equals), variable.substring(equals + 1));
            }
        }
        return node;
    }

    @Override
    public String name() {
        return name;
    }

    public String cloud() {
        return cloud;
    }

    public String namespace() {
        return namespace;
    }

    @Override
    public Map<String, String> environment() {
        return environment;
    }

    /** Deleted, or ended; unknown while the API server does not answer. */
    @Override
    public boolean isGone() {
        try {
            var pod = client().pods().inNamespace(namespace).withName(name).get();
            return pod == null || pod.getMetadata().getDeletionTimestamp() != null
                    || List.of("Failed", "Succeeded").contains(pod.getStatus().getPhase())
                    || pod.getStatus().getContainerStatuses().stream().anyMatch(each -> each.getState().getTerminated() != null);
        } catch (KubernetesClientException away) {
            return false;
        }
    }

    @Override
    public boolean hasContainers() {
        return true;
    }

    @Override
    public String workspace() {
        return workspace;
    }

    /**
     * The environment may hold secrets: it goes in through stdin, never as an
     * argument, which everybody on the node could read with ps.
     */
    @Override
    public Execution start(Place place, String program, Map<String, String> variables, byte[] input, OutputStream out) throws Exception {
        StringBuilder prologue = new StringBuilder();
        variables.forEach((key, value) -> {
            int plus = key.indexOf('+');
            if (plus > 0) {
                String base = key.substring(0, plus);
                prologue.append("export " + base + "=" + quoted(value) + "${" + base + ":+:$" + base + "}\n");
            } else if (key.matches("[A-Za-z_][A-Za-z0-9_]*")) {
                prologue.append(value == null ? "unset " + key + "\n" : "export " + key + "=" + quoted(value) + "\n");
            }
        });
        // What is not there yet is the agent's, whoever uses it.
        prologue.append(place.container() == null ? "mkdir -p " + quoted(place.directory()) + " && " : "").append("cd ")
                .append(quoted(place.directory())).append(" || exit 126\n");
        prologue.append(program).append('\n');
        byte[] text = prologue.toString().getBytes(StandardCharsets.UTF_8);
        // The program is read from stdin by its length into a variable; what follows is the program's own input.
        String bootstrap = "p=$(dd bs=1 count=" + text.length + " 2>/dev/null; echo x); eval \"${p%x}\"";
        byte[] all = new byte[text.length + input.length];
        System.arraycopy(text, 0, all, 0, text.length);
        System.arraycopy(input, 0, all, text.length, input.length);
        try {
            return execution(place, bootstrap, all, out);
        } catch (KubernetesClientException problem) {
            if (problem.getMessage().contains(" not found in pod ")) {
                throw new ExecutionException(new Refused(problem, 1));
            }
            if (problem.getCause() instanceof WebSocketHandshakeException handshake && REFUSALS.contains(handshake.getResponse().code())) {
                throw new ExecutionException(
                        new Refused(new AbortException(
                        "the API server answers HTTP " + handshake.getResponse().code() + " to an exec in pod " + namespace + "/" + name),
                        PATIENCE));
            }
            throw problem;
        }
    }

    private Execution execution(Place place, String bootstrap, byte[] all, OutputStream out) throws Exception {
        String container = place.container() == null ? AgentPod.AGENT : place.container();
        return new PodExecution(container, new String[] {place.shell(), "-c", "{ " + bootstrap + "; } 2>&1"}, all, out);
    }

    /**
     * Whether the runtime says that the container has no such program. Everything else
     * that keeps one from starting, such as a container that has just ended, is not known
     * to be for ever: the pod's own status tells. The words are runc's and crun's.
     */
    static boolean lacksTheShell(String message) {
        return message != null && (message.contains("exec: \"") || message.contains("executable file"));
    }

    private static String quoted(String text) {
        return "'" + text.replace("'", "'\\''") + "'";
    }

    private final class PodExecution implements Execution {
        private final ExecWatch watch;
        private final CompletableFuture<Integer> exit = new CompletableFuture<>();

        PodExecution(String container, String[] command, byte[] input, OutputStream out) throws Exception {
            watch = client().pods().inNamespace(namespace).withName(name).inContainer(container)
                    .redirectingInput().writingOutput(out).writingError(out)
                    .usingListener(new ExecListener() {
                        @Override
                        public void onExit(int code, Status status) {
                            if (code < 0 && status != null && lacksTheShell(status.getMessage())) {
                                exit.completeExceptionally(new NotStarted(status.getMessage()));
                            }
                        }

                        @Override
                        public void onClose(int code, String reason) {
                            exit.complete(-1); // if no exit code came before
                        }

                        @Override
                        public void onFailure(Throwable problem, Response response) {
                            exit.completeExceptionally(problem);
                        }
                    }).exec(command);
            watch.exitCode().whenComplete((code, problem) -> {
                if (problem != null) {
                    exit.completeExceptionally(problem);
                } else if (code != null && code >= 0) {
                    exit.complete(code);
                }
            });
            // Each write is one message, and the API server takes none of more than 32 MB.
            for (int at = 0; at < input.length; at += MESSAGE) {
                watch.getInput().write(input, at, Math.min(MESSAGE, input.length - at));
            }
            watch.getInput().flush();
        }

        @Override
        public int await() throws Exception {
            try {
                return exit.get();
            } finally {
                watch.close();
            }
        }
    }

    private KubernetesClient client() {
        return KubernetesCloud.client(cloud);
    }
}
