package slipway

import com.cloudbees.groovy.cps.NonCPS
import groovy.json.JsonSlurper

/** Text from outside: it is shown whole, and never decides. */
class Text implements Serializable {
    private static final long serialVersionUID = 1L

    /**
     * A helper's answer, as plain maps of texts, numbers and flags: what JsonSlurper gives is
     * not Serializable. Without a document the helper was killed, and exit is -1.
     */
    @NonCPS
    static Map<String, Object> answer(String text) {
        Map<String, Object> answer = [exit: -1]
        try {
            Object document = new JsonSlurper().parseText(text)
            if (!(document instanceof Map)) {
                return answer
            }
            for (Object key in document.keySet()) {
                answer[key.toString()] = plain(document[key])
            }
        } catch (Throwable broken) {
            answer = [exit: -1]
        }
        return answer
    }

    @NonCPS
    private static Object plain(Object value) {
        if (!(value instanceof Map)) {
            return value
        }
        Map<String, Object> copy = [:]
        for (Object key in value.keySet()) {
            copy[key.toString()] = value[key] == null ? '' : value[key].toString()
        }
        return copy
    }

    /** The text on one line, what a terminal would obey and what cannot be seen as \\uXXXX. */
    @NonCPS
    static String visible(String text) {
        String seen = ''
        for (int i = 0; i < text.length(); i++) {
            int end = i + 1 < text.length() && text.substring(i, i + 2) ==~ /[\x{10000}-\x{10ffff}]/ ? i + 2 : i + 1
            String character = text.substring(i, end)
            if (character ==~ /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/) {
                for (int j = i; j < end; j++) {
                    seen += String.format('\\u%04x', (int) text.charAt(j))
                }
            } else {
                seen += character
            }
            i = end - 1
        }
        return seen
    }

    /** Who answered an input, or an empty text where the answer names nobody: https://plugins.jenkins.io/pipeline-input-step/ */
    @NonCPS
    static String approver(Object answer, String parameter) {
        // Without the values of parameters the user comes alone.
        Object by = answer instanceof Map ? answer[parameter] : answer instanceof CharSequence ? answer : null
        String name = by == null ? '' : by.toString().trim()
        return name == 'anonymous' || name == 'SYSTEM' ? '' : name
    }

    /** What somebody wrote beside an answer. */
    @NonCPS
    static String comment(Object answer, String parameter) {
        Object text = answer instanceof Map ? answer[parameter] : null
        return text == null ? '' : text.toString()
    }

    /** latest-41 (sha256:9f2c1d0a…): what a person says, and enough of what it is. */
    @NonCPS
    static String shown(String reference) {
        if (!reference) {
            return 'an unknown image'
        }
        int at = reference.indexOf('@')
        String name = at < 0 ? reference : reference.substring(0, at)
        String tag = name.substring(name.lastIndexOf('/') + 1)
        String digest = at < 0 ? '' : reference.substring(at + 1)
        return visible(digest ? "${tag} (${digest.take(19)}…)".toString() : tag)
    }
}
