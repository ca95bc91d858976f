package dev.slipway.runner.engine;

import java.io.PrintStream;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;

/** The table at the end: each stage, how it ended, how long it took, how many sh steps it used. */
public final class Stages implements Serializable {
    private static final long serialVersionUID = 1;

    /** One stage. */
    public static final class Stage implements Serializable {
        private static final long serialVersionUID = 1;

        final String name;
        final long begin;
        long end;
        String outcome = "";
        public int shells;

        Stage(String name, long begin) {
            this.name = name;
            this.begin = begin;
        }
    }

    private final List<Stage> stages = new ArrayList<>();
    private int shells;

    public Stage begin(String name, long now) {
        Stage stage = new Stage(name, now);
        stages.add(stage);
        return stage;
    }

    public void end(Stage stage, long now, String outcome) {
        stage.end = now;
        stage.outcome = outcome;
    }

    /** A sh step in the stage of that name, or outside of any. */
    public void shell(String stageName) {
        shells++;
        for (int i = stages.size() - 1; i >= 0; i--) {
            if (stages.get(i).name.equals(stageName)) {
                stages.get(i).shells++;
                return;
            }
        }
    }

    public int shells() {
        return shells;
    }

    public void print(PrintStream out) {
        out.printf("%-28s %-12s %9s %4s%n", "STAGE", "OUTCOME", "SECONDS", "SH");
        for (Stage stage : stages) {
            out.printf("%-28s %-12s %9.1f %4d%n", stage.name, stage.outcome, (stage.end - stage.begin) / 1000.0, stage.shells);
        }
        out.printf("%-28s %-12s %9s %4d%n", "all", "", "", shells);
    }
}
