package dev.slipway.runner.nodes;

/** Where agents are had on demand, by a template. */
public interface Cloud {
    /** The name that a new agent is to have. */
    String name(PodTemplate template);

    /** Asks for it; whether one of that name was there already does not matter. */
    void create(String name, PodTemplate template, Watcher watcher) throws Exception;

    /** Waits until it can be used. */
    Node await(String name, PodTemplate template, String job, Watcher watcher) throws Exception;

    void delete(String name, PodTemplate template);

    /** Told what happens to an agent that is waited for. */
    interface Watcher {
        void line(String text);

        boolean isStopped();
    }
}
