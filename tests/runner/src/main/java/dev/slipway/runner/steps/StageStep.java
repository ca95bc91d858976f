package dev.slipway.runner.steps;

import com.cloudbees.groovy.cps.Outcome;
import dev.slipway.runner.engine.Stages;
import dev.slipway.runner.engine.Step;
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException;

/** stage name { } */
public final class StageStep extends Step {
    private static final long serialVersionUID = 1;

    private Stages.Stage stage;

    @Override
    protected void start() throws Exception {
        String name = arguments.text("name", true);
        if (name == null || name.isEmpty()) {
            throw arguments.notInstantiated("java.lang.reflect.InvocationTargetException");
        }
        stage = build.state.stages.begin(name, build.clock.now());
        runBody(name, context.withStage(name));
    }

    @Override
    protected void closed(Outcome outcome) {
        String how = outcome.isSuccess() ? "done" : outcome.getAbnormal() instanceof FlowInterruptedException ? "stopped" : "failed";
        build.state.stages.end(stage, build.clock.now(), how);
    }
}
