// Package pins reads pins.yaml, the names of what Slipway takes from outside.
package pins

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Pin is an image of pins.yaml, such as postgres:15@sha256:...
type Pin string

// full is the pin with its registry and its whole repository: docker.io, library/postgres:15@sha256:...
func (p Pin) full() (registry, rest string) {
	first, others, found := strings.Cut(string(p), "/")
	switch {
	case !found:
		return "docker.io", "library/" + first
	case !strings.Contains(first, "."):
		return "docker.io", string(p)
	}
	return first, others
}

// Mirrored is the pin's repository and tag, as the mirror serves them: library/postgres:15.
func (p Pin) Mirrored() string {
	_, rest := p.full()
	name, _, _ := strings.Cut(rest, "@")
	return name
}

// Resolved is the name by which containerd knows the pin: docker.io/library/postgres@sha256:...
func (p Pin) Resolved() string {
	registry, rest := p.full()
	name, digest, _ := strings.Cut(rest, "@")
	return registry + "/" + name[:strings.LastIndex(name, ":")] + "@" + digest
}

// Read gives the images and databases of pins.yaml at the repository's root, by their keys there.
func Read(root string) (map[string]Pin, error) {
	file := filepath.Join(root, "pins.yaml")
	body, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var pins struct {
		Images, Databases map[string]struct{ Name Pin }
	}
	if err := yaml.Unmarshal(body, &pins); err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	names := map[string]Pin{}
	for _, list := range []map[string]struct{ Name Pin }{pins.Images, pins.Databases} {
		for key, pin := range list {
			names[key] = pin.Name
		}
	}
	return names, nil
}
