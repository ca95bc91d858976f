package scaffold

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/policy"
)

// existing is a file that was there before, and what it lacks for Slipway.
type existing struct {
	Path  string   `json:"path"`
	Lacks []string `json:"lacks"`
}

// sort tells the files that are written from those that exist. Where the repository has a Deployment of the service
// already, in whatever file, its manifests are the team's: init writes none beside them.
func (o *outcome) sort(root *os.Root, files []file, m *manifests) error {
	ofTeam := m.ofTeam(o.values.App)
	for _, each := range files {
		info, err := root.Lstat(each.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if !strings.HasPrefix(each.Path, "k8s/") || len(ofTeam) == 0 {
				o.Files = append(o.Files, each)
			}
		case err != nil:
			return slipway.Usagef("%s cannot be read", each.Path).Because(err).Next("nothing was written")
		case !info.Mode().IsRegular():
			o.Existing = append(o.Existing, existing{each.Path, []string{"it is no regular file; init would write one"}})
		default:
			body, err := root.ReadFile(each.Path)
			if err != nil {
				return slipway.Usagef("%s cannot be read", each.Path).Because(err).Next("nothing was written")
			}
			o.Existing = append(o.Existing, existing{each.Path, o.values.lacks(each, string(body))})
		}
	}
	o.Existing = append(o.Existing, m.lacks(ofTeam)...)
	if !o.values.Dockerfile {
		o.Existing = append(
			o.Existing,
			existing{"Dockerfile", []string{"there is none at the root of the repository; the pipeline builds it"}},
		)
	}
	return nil
}

// lacks compares the text of a file that exists with the one that init would write.
func (v values) lacks(each file, text string) []string {
	lacks := []string{}
	has := func(part, lack string) {
		if !strings.Contains(text, part) {
			lacks = append(lacks, lack)
		}
	}
	switch {
	case text == each.Text:
	case strings.HasPrefix(each.Path, "Jenkinsfile"):
		for _, line := range strings.Split(strings.TrimSpace(each.Text), "\n") {
			begin, _, _ := strings.Cut(line, "@"+v.Library+"'") // in whatever version
			begin, _, _ = strings.Cut(begin, "(app:")
			has(begin, "the line "+line)
		}
	case path.Base(each.Path) == "kustomization.yaml":
		lacks = append(lacks, missingResources(text, each.Text)...)
	case each.Path == "slipway/policy.yaml":
		var mistakes policy.Mistakes
		if _, err := policy.Parse([]byte(text)); errors.As(err, &mistakes) {
			for _, mistake := range mistakes {
				lacks = append(lacks, "correct "+mistake.String())
			}
		}
	case each.Path == "slipway/jenkins.yaml":
		for _, job := range []string{"multibranchPipelineJob('build/", "multibranchPipelineJob('staging/", "pipelineJob('production/"} {
			has(job+v.App+"'", "the job "+job+v.App+"')")
		}
	case each.Path == "k8s/base/services.yaml":
		for _, name := range []string{v.App, v.App + "-stable", v.App + "-canary"} {
			has("name: "+name, "the Service "+name)
		}
	default:
		has("kind: "+kindOf(each.Text), "an object of the kind "+kindOf(each.Text))
	}
	return lacks
}

func kindOf(text string) string {
	var what struct{ Kind string }
	_ = yaml.Unmarshal([]byte(document.Split(text, 2)[0]), &what) // a template of init's own
	return what.Kind
}

func missingResources(has, wanted string) []string {
	var old, own struct {
		Namespace string
		Resources []string
	}
	if err := yaml.Unmarshal([]byte(has), &old); err != nil {
		return []string{"it is no YAML"}
	}
	_ = yaml.Unmarshal([]byte(wanted), &own) // a template of init's own
	lacks := []string{}
	for _, resource := range own.Resources {
		if !slices.Contains(old.Resources, resource) {
			lacks = append(lacks, "resources: "+resource)
		}
	}
	if own.Namespace != "" && old.Namespace != own.Namespace {
		lacks = append(lacks, fmt.Sprintf("namespace: %s (it has %q)", own.Namespace, old.Namespace))
	}
	return lacks
}
