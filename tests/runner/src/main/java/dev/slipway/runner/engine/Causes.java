package dev.slipway.runner.engine;

import dev.slipway.runner.site.People;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Who or what began a build, as getBuildCauses tells it. */
final class Causes {
    private Causes() {}

    /** The kind is timer, upstream:JOB#N or null for a user; a replay has a cause more. */
    static List<Map<String, Object>> of(Options options, People people) {
        List<Map<String, Object>> all = new ArrayList<>();
        if (options.cause == null) {
            Map<String, Object> user = cause("hudson.model.Cause$UserIdCause", "Started by user " + people.fullName(options.user));
            user.put("userId", people.id(options.user));
            user.put("userName", people.fullName(options.user));
            all.add(user);
        } else if (options.cause.equals("timer")) {
            all.add(cause("hudson.triggers.TimerTrigger$TimerTriggerCause", "Started by timer"));
        } else if (options.cause.matches("upstream:.+#[0-9]+")) {
            String job = options.cause.substring(options.cause.indexOf(':') + 1, options.cause.lastIndexOf('#'));
            int number = Integer.parseInt(options.cause.substring(options.cause.lastIndexOf('#') + 1));
            Map<String, Object> upstream = cause("hudson.model.Cause$UpstreamCause", "Started by upstream project \"" + job
                    + "\" build number " + number);
            upstream.put("upstreamBuild", number);
            upstream.put("upstreamProject", job);
            upstream.put("upstreamUrl", "job/" + job.replace("/", "/job/") + "/");
            all.add(upstream);
        } else {
            throw new IllegalArgumentException("--cause " + options.cause + " is none of timer, upstream:JOB#N");
        }
        if (options.replay != 0) {
            all.add(cause("org.jenkinsci.plugins.workflow.cps.replay.ReplayCause", "Replayed #" + options.replay));
        }
        return all;
    }

    private static Map<String, Object> cause(String type, String description) {
        Map<String, Object> cause = new LinkedHashMap<>();
        cause.put("_class", type);
        cause.put("shortDescription", description);
        return cause;
    }
}
