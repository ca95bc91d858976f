package scaffold

import (
	"context"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"slipway.dev/slipway/helpers/internal/git"
)

// seen is what the repository itself says of its service.
type seen struct {
	image
	app, remote, migrations string
	dockerfile              bool
	ready                   string
	notes                   []note
}

// note is one value that was read, and where.
type note struct {
	What  string `json:"what"`
	Value string `json:"value"`
	Where string `json:"where"`
}

const largest = 1 << 20 // of a file that is searched

// look reads the repository. What it cannot read it does not know, and the questions decide. A manifest says what runs, and wins over
// the Dockerfile, and that one over the sources.
func look(ctx context.Context, root *os.Root, objects *manifests) *seen {
	s := &seen{}
	if body, err := root.ReadFile("Dockerfile"); err == nil {
		s.image, s.dockerfile = readDockerfile(string(body)), true
	}
	if remote, err := git.Run(ctx, root.Name(), "config", "--get", "remote.origin.url"); err == nil {
		s.remote = withoutLogin(strings.TrimSpace(remote))
	}
	found := search(root)
	running := probes(objects.only())
	s.migrations = found.migrations
	s.app = s.note("app", []place{
		{running.name, running.where},
		{dashed(strings.TrimSuffix(path.Base(s.remote), ".git")), "git's remote origin"},
		{dashed(nameOf(root.Name())), "the folder's name"},
	})
	s.note("git-url", []place{{s.remote, "git's remote origin"}})
	if running.port != 0 {
		s.ports = []int{running.port}
		s.note("port", []place{{strconv.Itoa(running.port), running.where}})
	} else if len(s.ports) == 1 {
		s.note("port", []place{{strconv.Itoa(s.ports[0]), "EXPOSE of the Dockerfile"}})
	}
	if s.user != 0 {
		s.note("user", []place{{strconv.FormatInt(s.user, 10), "USER of the Dockerfile"}})
	}
	s.health = s.note(
		"health",
		[]place{{running.alive, running.where}, {s.health, "HEALTHCHECK of the Dockerfile"}, found.health, found.ready},
	)
	s.ready = s.note("ready", []place{{running.ready, running.where}, found.ready})
	s.note("migrations", []place{{s.migrations, "its SQL files"}})
	return s
}

// note keeps the first of these that says something.
func (s *seen) note(what string, places []place) string {
	for _, each := range places {
		if each.value != "" {
			s.notes = append(s.notes, note{what, each.value, each.where})
			return each.value
		}
	}
	return ""
}

// running is what a Deployment says of its container.
type running struct {
	name, alive, ready, where string
	port                      int
}

func probes(d *deployment) running {
	if d == nil {
		return running{}
	}
	r := running{name: d.Name, where: d.file}
	if containers := d.Spec.Template.Spec.Containers; len(containers) == 1 {
		if ports := containers[0].Ports; len(ports) == 1 {
			r.port = int(ports[0].ContainerPort)
		}
		path := func(probe *corev1.Probe) string {
			if probe == nil || probe.HTTPGet == nil {
				return ""
			}
			return probe.HTTPGet.Path
		}
		r.alive, r.ready = path(containers[0].LivenessProbe), path(containers[0].ReadinessProbe)
	}
	return r
}

var login = regexp.MustCompile(`^([a-z+]+://)[^/@]*@`)

// withoutLogin takes the user and the password out of an address: a configuration names the credential by its id.
func withoutLogin(address string) string {
	if strings.HasPrefix(address, "ssh://") {
		return regexp.MustCompile(`^(ssh://[^/:@]*):[^/@]*@`).ReplaceAllString(address, "$1@")
	}
	return login.ReplaceAllString(address, "$1")
}

var undashed = regexp.MustCompile(`[^a-z0-9]+`)

// dashed makes a name that Kubernetes allows of another name.
func dashed(name string) string {
	name = strings.Trim(undashed.ReplaceAllString(strings.ToLower(name), "-"), "-")
	if len(name) > 50 {
		name = strings.Trim(name[:50], "-")
	}
	return name
}

// The best one first. Kubernetes and the usual frameworks name them so.
var (
	alive   = []string{"/healthz", "/livez", "/health", "/live", "/actuator/health/liveness", "/actuator/health", "/health/live", "/ping"}
	serving = []string{"/readyz", "/ready", "/actuator/health/readiness", "/health/ready", "/readiness"}
	quoted  = regexp.MustCompile("[\"'`](?:GET )?(/[a-z/]+)[\"'`]")

	sources = []string{
		".py",
		".go",
		".js",
		".mjs",
		".ts",
		".java",
		".kt",
		".rb",
		".rs",
		".cs",
		".php",
		".scala",
		".properties",
		".yml",
		".yaml",
	}
	elsewhere  = []string{".git", "node_modules", "vendor", "target", "build", "dist", "test", "tests", "k8s", "slipway", "__pycache__"}
	migrations = []string{"migrations", "db/migrations", "db/migration", "src/main/resources/db/migration", "sql/migrations"}
)

// place is a value, and where it is from.
type place struct{ value, where string }

type searched struct {
	migrations    string
	health, ready place
}

// search looks through the sources for the paths that are usual for probes, and for the migrations.
func search(root *os.Root) searched {
	var found searched
	best := func(known []string, at *place, path, file string) {
		rank := slices.Index(known, path)
		if rank >= 0 && (at.value == "" || rank < slices.Index(known, at.value)) {
			*at = place{path, file}
		}
	}
	_ = fs.WalkDir(root.FS(), ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil // what cannot be read says nothing
		}
		if entry.IsDir() {
			if file != "." && (slices.Contains(elsewhere, entry.Name()) || strings.HasPrefix(entry.Name(), ".")) {
				return fs.SkipDir
			}
			return nil
		}
		if folder := path.Dir(file); path.Ext(file) == ".sql" && slices.Contains(migrations, folder) && found.migrations == "" {
			found.migrations = folder
		}
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() || info.Size() > largest || !slices.Contains(sources, path.Ext(file)) ||
			isTest(entry.Name()) {
			return nil
		}
		body, err := root.ReadFile(file)
		if err != nil {
			return nil
		}
		for _, match := range quoted.FindAllStringSubmatch(string(body), -1) {
			best(alive, &found.health, match[1], file)
			best(serving, &found.ready, match[1], file)
		}
		return nil
	})
	return found
}

func isTest(name string) bool {
	return strings.HasPrefix(name, "test_") || strings.Contains(name, "_test.") || strings.Contains(name, ".test.") ||
		strings.Contains(name, ".spec.")
}
