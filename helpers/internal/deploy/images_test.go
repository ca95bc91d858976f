package deploy

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

func TestContainersOfTheSameImageGoAlong(t *testing.T) {
	const image = "nexus.example:8083/app:2@sha256:2"
	for name, test := range map[string]struct {
		containers, init string // NAME=IMAGE, separated by blanks
		options          Options
		to               string
		note             string
	}{
		"one":                                 {"app=r/app:1", "", Options{}, "app", ""},
		"an init container of the same image": {"app=r/app:1", "migrate=r/app:1", Options{}, "app migrate", ""},
		"a sidecar of the same image": {"app=r/app:1@sha256:1 worker=r/app:1@sha256:1 " +
			"proxy=envoy:1", "", Options{Container: "app"}, "app worker", ""},
		"without a tag and with the one it means": {"app=r/app", "migrate=r/app:latest", Options{}, "app migrate", ""},
		"the same digest by another tag":          {"app=r/app:1@sha256:1", "migrate=r/app@sha256:1", Options{}, "app migrate", ""},
		"another digest by the same tag": {"app=r/app:1@sha256:1", "migrate=r/app:1@sha256:0", Options{}, "app",
			"the container migrate has"},
		"a digest, and its tag without it": {"app=r/app:1@sha256:1", "migrate=r/app:1", Options{}, "app",
			"the container migrate has r/app:1"},
		"another tag of the repository": {"app=r/app:1", "migrate=r/app:tools", Options{}, "app", "the container migrate " +
			"has r/app:tools"},
		"another tag of the repository, and named": {"app=r/app:1", "migrate=r/app:tools", Options{Also: []string{"migrate"}}, "app migrate", ""},
		"an older tag of the new repository": {"app=placeholder:1", "migrate=nexus.example:8083/app:1", Options{}, "app",
			"the container migrate has nexus.example:8083/app:1"},
		"has it already":     {"app=r/app:1", "migrate=" + image, Options{}, "app", ""},
		"another repository": {"app=r/app:1", "wait=r/app-tools:1", Options{}, "app", ""},
	} {
		pod := corev1.PodSpec{Containers: containersOf(test.containers), InitContainers: containersOf(test.init)}
		test.options.Image = image
		_, to, notes, err := imagesFor(pod, test.options)
		require.NoError(t, err, name)
		wanted := map[string]string{}
		for _, each := range strings.Fields(test.to) {
			wanted[each] = image
		}
		assert.Equal(t, wanted, to, name)
		assert.Equal(t, test.note == "", len(notes) == 0, "%s: %v", name, notes)
		if len(notes) > 0 {
			assert.Contains(t, notes[0], test.note, name)
			assert.Contains(t, notes[0], "--also migrate", name)
		}
	}
	_, _, _, err := imagesFor(corev1.PodSpec{Containers: containersOf("app=r/app:1")}, Options{Image: image, Also: []string{"none"}})
	assert.ErrorContains(t, err, `there is no container "none"; there are: app`)
}

func containersOf(list string) []corev1.Container {
	var all []corev1.Container
	for _, each := range strings.Fields(list) {
		name, image, _ := strings.Cut(each, "=")
		all = append(all, corev1.Container{Name: name, Image: image})
	}
	return all
}

func TestRepository(t *testing.T) {
	for image, want := range map[string]string{
		"app": "app", "app:1": "app", "r:5000/app": "r:5000/app", "r:5000/app:1": "r:5000/app", "r/app@sha256:0": "r/app",
		"r:1/a/b:c@sha256:0": "r:1/a/b",
	} {
		assert.Equal(t, want, repository(image), image)
	}
}
