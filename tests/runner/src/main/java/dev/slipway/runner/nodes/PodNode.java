package dev.slipway.runner.nodes;

import hudson.AbortException;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.dsl.ExecListener;
import io.fabric8.kubernetes.client.dsl.ExecWatch;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;

/** A pod of the Kubernetes cloud. Programs are started in its containers by exec, as the Kubernetes plugin does. */
public final class PodNode implements Node {
    private static final long serialVersionUID = 1;

    private final String name;
    private final String namespace;
    private final String workspace;

    PodNode(String name, String namespace, String job) {
        this.name = name;
        this.namespace = namespace;
        this.workspace = "/home/jenkins/agent/workspace/" + job;
    }

    @Override
    public String name() {
        return name;
    }

    public String namespace() {
        return namespace;
    }

    /** Deleted, or ended; unknown while the API server does not answer. */
    @Override
    public boolean isGone() {
        try {
            var pod = client().pods().inNamespace(namespace).withName(name).get();
            return pod == null || pod.getMetadata().getDeletionTimestamp() != null || List.of("Failed", "Succeeded").contains(pod.getStatus().getPhase());
        } catch (KubernetesClientException away) {
            return false;
        }
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
    public Execution start(String container, String program, String directory, Map<String, String> environment, byte[] input, OutputStream out) throws Exception {
        StringBuilder prologue = new StringBuilder();
        environment.forEach((key, value) -> {
            int plus = key.indexOf('+');
            if (plus > 0) {
                String base = key.substring(0, plus);
                prologue.append("export " + base + "=" + quoted(value) + "${" + base + ":+:$" + base + "}\n");
            } else if (key.matches("[A-Za-z_][A-Za-z0-9_]*")) {
                prologue.append(value == null ? "unset " + key + "\n" : "export " + key + "=" + quoted(value) + "\n");
            }
        });
        prologue.append("mkdir -p ").append(quoted(directory)).append(" && cd ").append(quoted(directory)).append(" || exit 126\n");
        prologue.append(program).append('\n');
        byte[] text = prologue.toString().getBytes(StandardCharsets.UTF_8);
        // The program is read from stdin by its length into a variable; what follows is the program's own input.
        String bootstrap = "p=$(dd bs=1 count=" + text.length + " 2>/dev/null; echo x); eval \"${p%x}\"";
        byte[] all = new byte[text.length + input.length];
        System.arraycopy(text, 0, all, 0, text.length);
        System.arraycopy(input, 0, all, text.length, input.length);
        return new PodExecution(container == null ? "jnlp" : container, new String[] {"sh", "-c", "{ " + bootstrap + "; } 2>&1"}, all, out);
    }

    private static String quoted(String text) {
        return "'" + text.replace("'", "'\\''") + "'";
    }

    private final class PodExecution implements Execution {
        private final ExecWatch watch;
        private final CompletableFuture<Integer> exit = new CompletableFuture<>();
        private final OutputStream out;

        PodExecution(String container, String[] command, byte[] input, OutputStream out) throws Exception {
            this.out = out;
            watch = client().pods().inNamespace(namespace).withName(name).inContainer(container)
                    .redirectingInput().writingOutput(out).writingError(out)
                    .usingListener(new ExecListener() {
                        @Override
                        public void onClose(int code, String reason) {
                            exit.complete(-1); // if no exit code came before
                        }

                        @Override
                        public void onFailure(Throwable problem, Response response) {
                            // Refused, which is another thing than unreachable.
                            exit.completeExceptionally(response != null && response.code() >= 400 && response.code() < 500 ? new AbortException(problem.getMessage()) : problem);
                        }
                    }).exec(command);
            watch.exitCode().whenComplete((code, problem) -> {
                if (problem != null) {
                    exit.completeExceptionally(problem);
                } else if (code != null) {
                    exit.complete(code);
                }
            });
            watch.getInput().write(input);
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

    private static KubernetesClient client() {
        return KubernetesCloud.client();
    }
}
