package dev.slipway.runner.nodes;

import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.ConfigBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.io.IOException;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import java.util.function.Function;

/** The Kubernetes cloud: makes an agent's pod of a template, and takes it away. */
public final class KubernetesCloud implements Cloud {
    private static final int UNAVAILABLE = 0;
    /** Made on first use; a test gives its own. */
    static KubernetesClient client;

    /** By their tokens. */
    private static final Map<String, KubernetesClient> CLIENTS = new HashMap<>();
    /** What each cloud logs in with, by its name; null where it has nothing of its own. A process plays one build at a time. */
    private static Function<String, String> tokens = cloud -> null;

    private final String agentImage;
    private final String jenkinsUrl;

    public KubernetesCloud(String agentImage, String jenkinsUrl) {
        this.agentImage = agentImage;
        this.jenkinsUrl = jenkinsUrl;
    }

    public KubernetesCloud(String agentImage, String jenkinsUrl, Function<String, String> tokens) {
        this(agentImage, jenkinsUrl);
        logIn(tokens);
    }

    private static synchronized void logIn(Function<String, String> by) {
        tokens = by;
    }

    /** As that cloud: with its own token, at the server that KUBECONFIG names. */
    static synchronized KubernetesClient client(String cloud) {
        String token = tokens.apply(cloud);
        if (token != null) {
            return CLIENTS.computeIfAbsent(
                    token, own -> new KubernetesClientBuilder().withConfig(new ConfigBuilder(Config.autoConfigure(null))
                    .withOauthTokenProvider(() -> own).withClientCertData(null).withClientKeyData(null).build()).build());
        }
        if (client == null) {
            client = new KubernetesClientBuilder().build();
        }
        return client;
    }

    @Override
    public String name(PodTemplate template) {
        return template.name.toLowerCase(Locale.ROOT).replace('_', '-') + "-" + UUID.randomUUID().toString().substring(0, 5);
    }

    @Override
    public void create(String agent, PodTemplate template, Consumer<String> log) throws NoAgent {
        String in = AgentPod.namespace(template);
        try {
            client(template.cloud).pods().inNamespace(in).resource(AgentPod.of(agent, template, in, agentImage, jenkinsUrl)).create();
        } catch (KubernetesClientException refused) {
            if (refused.getCode() == 409) {
                return;
            }
            Throwable cause = refused;
            while (refused.getStatus() == null && cause.getCause() != null) {
                cause = cause.getCause();
            }
            String problem = cause.getMessage();
            String failed = "ERROR: Failed to launch " + agent + "\n" + refused.getClass().getName() + ": " + problem;
            if (refused.getCode() == 403 && problem.contains("exceeded quota")) {
                throw new NoAgent(true, "WARNING: Unable to create pod: " + template.cloud + " " + in + "/" + agent
                        + " because kubernetes resource quota exceeded.\n" + problem + "\nRetrying...\n\n" + failed);
            }
            throw new NoAgent(refused.getCode() == UNAVAILABLE || refused.getCode() >= 500, "ERROR: Unable to create pod " + template.cloud
                    + " " + in + "/" + agent + ".\n" + problem + "\n" + failed);
        }
        log.accept("Created Pod: " + template.cloud + " " + in + "/" + agent);
    }

    @Override
    public Node await(String agent, PodTemplate template, String job, Consumer<String> log, CompletableFuture<Void> stop) throws Exception {
        String in = AgentPod.namespace(template);
        long until = System.nanoTime() + TimeUnit.SECONDS.toNanos(template.connectTimeout());
        try (Reaper reaper = new Reaper(client(template.cloud), in, agent, log)) {
            CompletableFuture<Object> ended = CompletableFuture.anyOf(stop, reaper.lost);
            try {
                CompletableFuture.anyOf(ended, reaper.running).get(until - System.nanoTime(), TimeUnit.NANOSECONDS);
                int refusals = 0;
                while (!ended.isDone()) {
                    PodNode node = null;
                    try {
                        node = PodNode.connect(agent, template.cloud, in, job);
                        refusals = 0;
                    } catch (IOException | KubernetesClientException | ExecutionException broken) {
                        // A connection that breaks says nothing of the agent.
                        if (broken.getCause() instanceof Node.Refused refused && ++refusals >= refused.times) {
                            throw refused.why();
                        }
                        if (broken.getCause() instanceof Node.NotStarted none) {
                            throw none;
                        }
                    }
                    if (node != null) {
                        log.accept("Agent " + agent + " is provisioned from template " + template.name
                                + (template.showsYaml() ? "\n" + AgentPod.shown(AgentPod.of(agent, template, in, agentImage, jenkinsUrl))
                                : ""));
                        return node;
                    }
                    pause(ended, Math.min(TimeUnit.SECONDS.toNanos(1), until - System.nanoTime()), until);
                }
            } catch (TimeoutException late) {
                Pod pod = client(template.cloud).pods().inNamespace(in).withName(agent).get();
                throw new NoAgent(true, "ERROR: Failed to launch " + agent
                        + "\njava.lang.IllegalStateException: Agent is not connected after " + template.connectTimeout()
                        + " seconds, status: "
                        + (pod == null ? "gone" : pod.getStatus().getPhase()));
            }
            if (stop.isDone()) {
                return null;
            }
            throw new NoAgent(false, reaper.lost.get());
        } catch (KubernetesClientException away) {
            throw new NoAgent(true, "ERROR: Failed to launch " + agent + "\n" + away);
        }
    }

    /** A moment, unless the waiting ends before; a time-out where it was the last. */
    private static void pause(CompletableFuture<Object> ended, long nanoseconds, long until) throws InterruptedException,
            ExecutionException, TimeoutException {
        try {
            ended.get(nanoseconds, TimeUnit.NANOSECONDS);
        } catch (TimeoutException moment) {
            if (System.nanoTime() >= until) {
                throw moment;
            }
        }
    }

    @Override
    public AutoCloseable follow(Node node, Consumer<String> log, Runnable lost) {
        Reaper reaper = new Reaper(client(((PodNode) node).cloud()), ((PodNode) node).namespace(), node.name(), log);
        reaper.lost.thenRun(lost);
        return reaper;
    }

    @Override
    public void delete(String agent, PodTemplate template) {
        try {
            client(template.cloud).pods().inNamespace(AgentPod.namespace(template)).withName(agent).delete();
        } catch (KubernetesClientException gone) {
            // The pod's own deadline ends it where the API server cannot be asked.
        }
    }
}
