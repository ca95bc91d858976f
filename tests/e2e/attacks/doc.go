// Package attacks plays attacks on production: on the lab, with real pipelines. Each is refused with a sentence, and changes nothing.
package attacks
