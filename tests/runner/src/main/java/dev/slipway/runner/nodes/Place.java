package dev.slipway.runner.nodes;

/** Where on a node a program runs: in a container, or where the agent is (null), by this shell of it, in this folder. */
public record Place(String container, String shell, String directory) {
    /** Where the agent itself works: as Jenkins' own user, whatever container is around a step. */
    public static Place agent(String directory) {
        return new Place(null, "sh", directory);
    }
}
