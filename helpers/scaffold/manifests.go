package scaffold

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// own is where init itself writes the Deployment.
const own = "k8s/base/deployment.yaml"

// manifests are the objects that the repository has already.
type manifests struct {
	deployments []deployment
	services    []corev1.Service
	budget      bool
	overlays    []existing // kustomizations that set what the pipelines set
}

type deployment struct {
	file string
	*appsv1.Deployment
}

var document = regexp.MustCompile(`(?m)^---[ \t]*\r?$`)

// find reads the YAML files of the repository. One that is no plain YAML (a template of Helm, say) is passed over.
func find(root *os.Root) (*manifests, error) {
	m := &manifests{}
	err := fs.WalkDir(root.FS(), ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if entry.Name() == ".git" || entry.Name() == "node_modules" {
				return fs.SkipDir
			}
			return nil
		}
		if !entry.Type().IsRegular() || !slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(file)) {
			return nil
		}
		if info, err := entry.Info(); err != nil || info.Size() > largest {
			return err
		}
		body, err := root.ReadFile(file)
		if err != nil {
			return err
		}
		if strings.HasPrefix(path.Base(file), "kustomization.") {
			m.kustomization(file, body)
			return nil
		}
		for _, each := range document.Split(string(body), -1) {
			m.add(file, []byte(each))
		}
		return nil
	})
	if err != nil {
		return nil, slipway.Usagef("the repository cannot be read").Because(err).Next("nothing was written")
	}
	return m, nil
}

func (m *manifests) add(file string, body []byte) {
	var what metav1.PartialObjectMetadata
	if yaml.Unmarshal(body, &what) != nil {
		return
	}
	switch what.Kind {
	case "Deployment":
		var whole appsv1.Deployment
		// One without a selector is a patch of another one.
		if yaml.Unmarshal(body, &whole) == nil && whole.Spec.Selector != nil && len(whole.Spec.Template.Spec.Containers) > 0 {
			m.deployments = append(m.deployments, deployment{file, &whole})
		}
	case "Service":
		var service corev1.Service
		if yaml.Unmarshal(body, &service) == nil {
			m.services = append(m.services, service)
		}
	case "PodDisruptionBudget":
		m.budget = true
	}
}

func (m *manifests) kustomization(file string, body []byte) {
	var found struct{ Images, Replicas []struct{ Name string } }
	if yaml.Unmarshal(body, &found) != nil {
		return
	}
	lacks := []string{}
	for _, image := range found.Images {
		lacks = append(
			lacks,
			fmt.Sprintf("images (%s): take it out if it is the service's, or each kubectl apply deploys that image", image.Name),
		)
	}
	for _, replicas := range found.Replicas {
		lacks = append(
			lacks,
			fmt.Sprintf(
				"replicas (%s): take it out if it is the service's, or each kubectl apply sets the number of pods back",
				replicas.Name,
			),
		)
	}
	if len(lacks) > 0 {
		m.overlays = append(m.overlays, existing{file, lacks})
	}
}

// only is the Deployment of the repository, where all that it has have one name.
func (m *manifests) only() *deployment {
	for _, each := range m.deployments {
		if each.Name != m.deployments[0].Name {
			return nil
		}
	}
	if len(m.deployments) == 0 {
		return nil
	}
	return &m.deployments[0]
}

// ofTeam are the Deployments of that name, but for the one in the file that init writes.
func (m *manifests) ofTeam(name string) []deployment {
	var found []deployment
	for _, each := range m.deployments {
		if each.Name == name && each.file != own {
			found = append(found, each)
		}
	}
	return found
}

// lacks says what must change in the team's own manifests.
func (m *manifests) lacks(deployments []deployment) []existing {
	var found []existing
	for _, each := range deployments {
		lacks := []string{}
		lack := func(missing bool, format string, arguments ...any) {
			if missing {
				lacks = append(lacks, fmt.Sprintf(format, arguments...))
			}
		}
		spec := each.Spec.Template.Spec
		lack(each.Spec.Replicas != nil, "spec.replicas: take it out, or each kubectl apply sets the number of pods back")
		rolling := each.Spec.Strategy.RollingUpdate
		lack(
			rolling == nil || rolling.MaxUnavailable == nil ||
				rolling.MaxUnavailable.String() != "0" && rolling.MaxUnavailable.String() != "0%",
			"spec.strategy.rollingUpdate.maxUnavailable: set it to 0, or requests fail while pods are replaced",
		)
		lack(len(spec.ImagePullSecrets) == 0, "spec.template.spec.imagePullSecrets: add {name: nexus-pull}, which the pipelines renew")
		lack(
			len(spec.Containers) > 1,
			"it has several containers: name the one that gets the image by the parameter container of both pipelines",
		)
		for _, container := range spec.Containers {
			at := "spec.template.spec.containers[" + container.Name + "]"
			lack(container.Image != "" && len(spec.Containers) == 1, "%s.image: take it out, or each kubectl apply deploys that image", at)
			lack(container.ReadinessProbe == nil, "%s.readinessProbe: add one, or a pod counts as ready before it can answer", at)
			lack(container.Lifecycle == nil || container.Lifecycle.PreStop == nil,
				"%s.lifecycle.preStop: add {sleep: {seconds: 5}}, or requests reach pods that have ended", at)
		}
		lack(!m.selected(each), "no Service in the repository selects its pods")
		lack(!m.budget, "no PodDisruptionBudget is in the repository")
		found = append(found, existing{each.file, lacks})
	}
	if len(found) > 0 {
		found = append(found, m.overlays...)
	}
	return found
}

func (m *manifests) selected(deployment deployment) bool {
	return slices.ContainsFunc(m.services, func(service corev1.Service) bool {
		for key, value := range service.Spec.Selector {
			if deployment.Spec.Template.Labels[key] != value {
				return false
			}
		}
		return len(service.Spec.Selector) > 0
	})
}
