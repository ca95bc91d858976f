package deploy

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/rollout"
)

// imagesFor gives the image of each container that is to be changed: the one that was
// named (or the only one), those named by --also, and all containers and init containers
// that have the same image as the first. A note names each container that has another
// image of the same repository, and is left as it is.
func imagesFor(pod corev1.PodSpec, options Options) (name string, to map[string]string, notes []string, err error) {
	index, err := containerIndex(pod.Containers, options.Container)
	if err != nil {
		return "", nil, nil, err
	}
	main := pod.Containers[index]
	to = map[string]string{main.Name: options.Image}
	all := rollout.AllContainers(pod)
	for _, also := range options.Also {
		if !slices.ContainsFunc(all, func(c corev1.Container) bool { return c.Name == also }) {
			return "", nil, nil, slipway.Usagef("there is no container %q; there are: %s", also, names(all))
		}
		to[also] = options.Image
	}
	for _, container := range all {
		_, chosen := to[container.Name]
		switch found := repository(container.Image); {
		case chosen || container.Image == options.Image:
		case same(container.Image, main.Image):
			to[container.Name] = options.Image
		case found == repository(main.Image) || found == repository(options.Image):
			notes = append(
				notes,
				fmt.Sprintf(
					"the container %s has %s, another image of the same repository, and keeps it: name it with --also %s if it is to have "+
						"the new one, too",
					container.Name,
					container.Image,
					container.Name,
				),
			)
		}
	}
	for _, volume := range pod.Volumes {
		if volume.Image != nil && repository(volume.Image.Reference) == repository(options.Image) {
			notes = append(notes, fmt.Sprintf("the image volume %s has %s, and keeps it", volume.Name, volume.Image.Reference))
		}
	}
	return main.Name, to, notes, nil
}

// has says whether all containers have the images already.
func has(pod corev1.PodSpec, to map[string]string) bool {
	return !slices.ContainsFunc(rollout.AllContainers(pod), func(c corev1.Container) bool {
		image, changes := to[c.Name]
		return changes && c.Image != image
	})
}

// put gives the containers their images.
func put(pod *corev1.PodSpec, to map[string]string) {
	for _, list := range [][]corev1.Container{pod.InitContainers, pod.Containers} {
		for i := range list {
			if image, changes := to[list[i].Name]; changes {
				list[i].Image = image
			}
		}
	}
}

// repository is an image's reference without tag and digest.
func repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if colon := strings.LastIndex(image, ":"); colon > strings.LastIndex(image, "/") {
		image = image[:colon]
	}
	return image
}

// tagged is an image's reference with the tag that is meant where there is none.
func tagged(image string) string {
	if image == repository(image) {
		return image + ":latest"
	}
	return image
}

// same says that two references are of one image: by their digest where both have one, else as they are written.
func same(a, b string) bool {
	_, digest, _ := strings.Cut(a, "@")
	if _, other, both := strings.Cut(b, "@"); both && digest != "" {
		return digest == other && repository(a) == repository(b)
	}
	return tagged(a) == tagged(b)
}

func containerIndex(containers []corev1.Container, name string) (int, error) {
	for i, container := range containers {
		if container.Name == name || name == "" && len(containers) == 1 {
			return i, nil
		}
	}
	if name == "" {
		return 0, slipway.Usagef("there are several containers: name one with --container: %s", names(containers))
	}
	return 0, slipway.Usagef("there is no container %q; there are: %s", name, names(containers))
}

func names(containers []corev1.Container) string {
	var all []string
	for _, container := range containers {
		all = append(all, container.Name)
	}
	sort.Strings(all)
	return strings.Join(all, ", ")
}
