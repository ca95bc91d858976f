package pipelines

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

type pinned struct{ Name, Seen string }

// pins is pins.yaml.
func pins(t *testing.T) (all struct {
	Images, Databases map[string]pinned
	Jenkins           struct {
		Version, Seen string
		Plugins       map[string]string
	}
}) {
	t.Helper()
	require.NoError(t, yaml.UnmarshalStrict([]byte(read(t, "pins.yaml")), &all))
	require.NotEmpty(t, all.Images)
	return all
}

// delivered are the files with which a site is built, and what tells of them.
func delivered(t *testing.T) []string {
	t.Helper()
	tracked := strings.Fields(run(t, root, "git", "ls-files", "--cached", "--others", "--exclude-standard", "--",
		"*.md", "k8s", "resources", "src", "vars", "docs", "Dockerfile", "helpers/Dockerfile", "Makefile"))
	require.NotEmpty(t, tracked)
	return slices.DeleteFunc(tracked, func(name string) bool { return strings.HasSuffix(name, ".json") })
}

// An image where one is used: in a manifest, in a Dockerfile, or by the name of a public registry.
var (
	manifest   = regexp.MustCompile(`(?m)^\s*(?:- )?image: "?([^\s"]+)`)
	dockerfile = regexp.MustCompile(`(?m)^(?:FROM |ARG BASE=)(\S+)`)
	public     = regexp.MustCompile(`\b(?:docker\.io|ghcr\.io|quay\.io|gcr\.io|registry\.k8s\.io)/[\w./:@-]*\w`)
)

// The site's own images come from its own registry, by names that the site fills in.
var ours = regexp.MustCompile(`^(10\.10\.70\.84:30051/|AGENT_IMAGE$|\$BASE$)`)

func TestEveryImageIsOneOfPinsYamlByItsDigest(t *testing.T) {
	all := pins(t)
	known := map[string]bool{}
	for _, list := range []map[string]pinned{all.Images, all.Databases} {
		for key, pin := range list {
			assert.Contains(t, pin.Seen, "github.com/", "%s: the public source where it was seen", key)
			known[pin.Name] = false
		}
	}
	for key, pin := range all.Images {
		assert.Regexp(t, `^[a-z][\w./-]*:[\w.-]*[0-9][\w.-]*@sha256:[0-9a-f]{64}$`, pin.Name, key)
	}
	for _, file := range delivered(t) {
		text := read(t, file)
		var names []string
		for suffix, use := range map[string]*regexp.Regexp{".yaml": manifest, "Dockerfile": dockerfile} {
			if strings.HasSuffix(file, suffix) {
				for _, match := range use.FindAllStringSubmatch(text, -1) {
					names = append(names, match[1])
				}
			}
		}
		for _, name := range append(names, public.FindAllString(text, -1)...) {
			if _, is := known[name]; is {
				known[name] = true
			} else if !ours.MatchString(name) {
				assert.Fail(t, "an image that is not in pins.yaml", "%s: %s", file, name)
			}
		}
	}
	for name, isUsed := range known {
		assert.True(t, isUsed, "%s is in pins.yaml and used nowhere", name)
	}
}

func TestTheDocumentedPluginsAreThoseOfPinsYaml(t *testing.T) {
	all := pins(t)
	documented := map[string]string{}
	guide := read(t, "docs/jenkins.md")
	for _, match := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| ([0-9][\\w.]*) \\|").FindAllStringSubmatch(guide, -1) {
		documented[match[1]] = match[2]
	}
	assert.Equal(t, all.Jenkins.Plugins, documented)
	assert.Contains(t, guide, "Jenkins "+all.Jenkins.Version)
	assert.Contains(t, all.Jenkins.Seen, "github.com/jenkinsci/bom")
}
