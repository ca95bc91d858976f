package org.jenkinsci.plugins.workflow.cps;

import com.cloudbees.groovy.cps.Continuable;
import com.cloudbees.groovy.cps.Env;
import com.cloudbees.groovy.cps.Next;
import com.cloudbees.groovy.cps.Outcome;
import dev.slipway.runner.sandbox.Sandbox;
import groovy.lang.Script;
import java.util.ArrayList;
import java.util.List;
import org.jenkinsci.plugins.workflow.cps.persistence.IteratorHack;

/** A program that runs in the sandbox: what was compiled as untrusted is asked at each call. */
public final class SandboxContinuable extends Continuable {
    @SuppressWarnings("rawtypes")
    private static final List<Class> CATEGORIES = new ArrayList<>(Continuable.categories);

    static {
        CATEGORIES.add(IteratorHack.class);
    }

    SandboxContinuable(Script script, Env environment) {
        super(script, environment);
    }

    SandboxContinuable(Next next) {
        super(next);
    }

    Outcome go(Outcome with) {
        return Sandbox.inside(() -> run0(with, CATEGORIES));
    }
}
