package wrong

import com.cloudbees.groovy.cps.NonCPS

/** What the Jenkins rules must find. */
class Wrong {
    private final List<Integer> numbers = [3, 1, 2]

    List<Integer> sorted() {
        return numbers.toSorted { int one, int other -> one <=> other }
    }

    @NonCPS
    String first() {
        return sorted().first()
    }

    String text(Closure<String> given) {
        return "${ -> given() }"
    }
}
