package dev.slipway.runner.steps;

import dev.slipway.runner.engine.CredentialValue;
import dev.slipway.runner.engine.Step;
import dev.slipway.runner.engine.Symbol;
import hudson.AbortException;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** withCredentials([usernamePassword(...), string(...)]) { }: variables for the body, masked in the console. */
public final class WithCredentials extends Step {
    private static final long serialVersionUID = 1;

    @Override
    protected void start() throws Exception {
        Map<String, CredentialValue> variables = new LinkedHashMap<>();
        for (Object each : (List<?>) arguments.get("bindings", true)) {
            Symbol binding = (Symbol) each;
            String id = binding.string("credentialsId");
            switch (binding.symbol) {
                case "usernamePassword" -> {
                    variables.put(binding.string("usernameVariable"), new CredentialValue(id, CredentialValue.Part.USERNAME));
                    variables.put(binding.string("passwordVariable"), new CredentialValue(id, CredentialValue.Part.SECRET));
                }
                case "usernameColonPassword" -> variables.put(binding.string("variable"), new CredentialValue(id, CredentialValue.Part.BOTH));
                case "string" -> variables.put(binding.string("variable"), new CredentialValue(id, CredentialValue.Part.SECRET));
                default -> throw new AbortException("credentials of the kind " + binding.symbol + " are not known here");
            }
        }
        Set<String> secrets = new LinkedHashSet<>();
        Set<String> names = new LinkedHashSet<>();
        for (Map.Entry<String, CredentialValue> variable : variables.entrySet()) {
            String value = variable.getValue().in(build.site);
            if (variable.getValue().secret()) {
                names.add("$" + variable.getKey());
                secrets.add(value);
            }
        }
        build.console.hide(secrets);
        build.console.line("Masking supported pattern matches of " + String.join(" or ", names));
        runBody(context.withEnvironment(variables));
    }}
