// Package git asks a clone by the program git.
package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// Run gives what git says in a clone. It asks for no login, and takes a commit as it was
// made: replacements that the clone has for it do not count. An error has git's own words.
func Run(ctx context.Context, clone string, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, "git", append([]string{"-C", clone}, arguments...)...)
	command.Env = append(command.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_NO_REPLACE_OBJECTS=1", "LC_ALL=C")
	var out, complaint bytes.Buffer
	command.Stdout, command.Stderr = &out, &complaint
	if err := command.Run(); err != nil {
		if text := strings.TrimSpace(complaint.String()); text != "" {
			err = errors.New(text)
		}
		return "", fmt.Errorf("git %s: %w", arguments[0], err)
	}
	return out.String(), nil
}
