package dev.slipway.runner.steps;

import dev.slipway.runner.engine.Step;
import dev.slipway.runner.engine.Symbol;
import dev.slipway.runner.site.Site;
import hudson.AbortException;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** withCredentials([usernamePassword(...), string(...)]) { }: variables for the body, masked in the console. */
public final class WithCredentials extends Step {
    @Override
    protected void start() throws Exception {
        Map<String, String> variables = new LinkedHashMap<>();
        Set<String> secrets = new LinkedHashSet<>();
        Set<String> names = new LinkedHashSet<>();
        for (Object each : (List<?>) arguments.get("bindings", true)) {
            Symbol binding = (Symbol) each;
            Site.Credential found = build.site.credential(binding.string("credentialsId"));
            switch (binding.symbol) {
                case "usernamePassword" -> {
                    variables.put(binding.string("usernameVariable"), found.username());
                    variables.put(binding.string("passwordVariable"), found.secret());
                    names.add("$" + binding.string("passwordVariable"));
                }
                case "usernameColonPassword" -> variables.put(binding.string("variable"), found.username() + ":" + found.secret());
                case "string" -> {
                    variables.put(binding.string("variable"), found.secret());
                    names.add("$" + binding.string("variable"));
                }
                default -> throw new AbortException("credentials of the kind " + binding.symbol + " are not known here");
            }
            secrets.add(found.secret());
        }
        build.console.hide(secrets);
        build.console.line("Masking supported pattern matches of " + String.join(" or ", names));
        runBody(context.withEnvironment(variables).withSecrets(secrets));
    }
}
