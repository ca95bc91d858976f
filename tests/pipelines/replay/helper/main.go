// Command helper answers in slipway's place: what the real one answered in the runs that REPLAY_FILES hold, for REPLAY_COMMIT. REPLAY_CALLS
// gets a
// line for each call when it begins, and one when it ends, with the variables that REPLAY_ENVIRONMENT names; the call whose key is
// REPLAY_DIES kills itself between the two, the first time. With REPLAY_TEXT, a file, every
// answer says its text wherever others' words stand in it; calls of the keys in REPLAY_REFUSES are refused with it.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"slipway.dev/slipway/tests/pipelines/replay"
)

func main() {
	code, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "replay: "+err.Error())
		os.Exit(127)
	}
	os.Exit(code)
}

func run() (int, error) {
	asked := replay.Call{Helper: os.Args[1], Arguments: os.Args[2:]}
	if err := note("began", asked); err != nil {
		return 0, err
	}
	if asked.Key() == os.Getenv("REPLAY_DIES") {
		// Once: what asks again finds it well.
		if err := os.Mkdir(os.Getenv("REPLAY_CALLS")+".died", 0o755); err == nil {
			return 0, syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	}
	for _, file := range strings.Split(os.Getenv("REPLAY_FILES"), ":") {
		calls, err := replay.Load(file)
		if err != nil {
			return 0, err
		}
		if answer, found := replay.Answer(calls, asked); found {
			answer = answer.At(os.Getenv("REPLAY_COMMIT"))
			if file := os.Getenv("REPLAY_TEXT"); file != "" {
				body, err := os.ReadFile(file)
				if err != nil {
					return 0, err
				}
				refused := slices.Contains(strings.Split(os.Getenv("REPLAY_REFUSES"), ":"), asked.Key())
				if answer, err = answer.Saying(string(body), refused); err != nil {
					return 0, err
				}
			}
			asked.Answer = answer.Answer
			fmt.Print(answer.Answer)
			return 0, note("ended", asked)
		}
	}
	return 0, fmt.Errorf("nobody recorded %s: %s", asked.Key(), strings.Join(asked.Arguments, " "))
}

// note appends one line at once, so that two helpers do not mix theirs.
func note(what string, call replay.Call) error {
	environment := map[string]string{}
	for _, name := range strings.Split(os.Getenv("REPLAY_ENVIRONMENT"), ",") {
		if value, set := os.LookupEnv(name); set {
			environment[name] = value
		}
	}
	line, err := json.Marshal(map[string]any{
		"what": what, "key": call.Key(), "arguments": call.Arguments, "exit": call.Exit(), "environment": environment,
	})
	if err != nil {
		return err
	}
	file, err := os.OpenFile(os.Getenv("REPLAY_CALLS"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.Write(append(line, '\n'))
	return err
}
