package dev.slipway.runner.steps;

import dev.slipway.runner.engine.CredentialValue;
import dev.slipway.runner.engine.CredentialValue.Part;
import dev.slipway.runner.engine.Step;
import dev.slipway.runner.engine.Symbol;
import hudson.AbortException;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** withCredentials([usernamePassword(...), string(...)]) { }: variables for the body, masked in what its steps say. */
public final class WithCredentials extends Step {
    private static final long serialVersionUID = 1;
    private static final String LOGIN = "usernamePassword";

    @Override
    protected void start() throws Exception {
        Map<String, CredentialValue> variables = new LinkedHashMap<>();
        for (Object each : (List<?>) arguments.get("bindings", true)) {
            Symbol binding = (Symbol) each;
            String id = binding.string("credentialsId");
            switch (binding.symbol) {
                case LOGIN -> {
                    variables.put(binding.string("usernameVariable"), new CredentialValue(id, LOGIN, Part.USERNAME));
                    variables.put(binding.string("passwordVariable"), new CredentialValue(id, LOGIN, Part.SECRET));
                }
                case "usernameColonPassword" -> variables.put(binding.string("variable"), new CredentialValue(id, LOGIN, Part.BOTH));
                case "string" -> variables.put(binding.string("variable"), new CredentialValue(id, "string", Part.SECRET));
                default -> throw new AbortException("credentials of the kind " + binding.symbol + " are not known here");
            }
        }
        Set<String> names = new LinkedHashSet<>();
        for (Map.Entry<String, CredentialValue> variable : variables.entrySet()) {
            variable.getValue().in(build.site);
            if (variable.getValue().secret(build.site)) {
                names.add("$" + variable.getKey());
            }
        }
        if (!names.isEmpty()) {
            say("Masking supported pattern matches of " + String.join(" or ", names));
        }
        runBody(context.withEnvironment(variables));
    }
}
