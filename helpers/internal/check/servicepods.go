package check

// What a Deployment says of its pods, judged.

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"slipway.dev/slipway/helpers/internal/deploy"
)

func imagesByDigest(d *appsv1.Deployment) Finding {
	var tagged []string
	for _, container := range d.Spec.Template.Spec.Containers {
		if !strings.Contains(container.Image, "@sha256:") {
			tagged = append(tagged, container.Image)
		}
	}
	if len(tagged) > 0 {
		return warning("%s", all(tagged)).
			with("release it by the pipeline, or deploy-image -n %s deployment/%s --image REPOSITORY:TAG@sha256:...", d.Namespace, d.Name)
	}
	return ok("by digest")
}

func replicas(d *appsv1.Deployment) int {
	if d.Spec.Replicas == nil {
		return 1
	}
	return int(*d.Spec.Replicas)
}

func replicasOf(d *appsv1.Deployment) Finding {
	if replicas(d) < 2 {
		return warning("spec.replicas is %d", replicas(d)).with("kubectl scale -n %s deployment/%s --replicas=2", d.Namespace, d.Name)
	}
	return ok("%d", replicas(d))
}

// inFront are the Services that select the pods of a Deployment.
func inFront(d *appsv1.Deployment, services []corev1.Service) (names []string) {
	for _, each := range services {
		if len(each.Spec.Selector) > 0 && labels.SelectorFromSet(each.Spec.Selector).Matches(labels.Set(d.Spec.Template.Labels)) {
			names = append(names, each.Name)
		}
	}
	return names
}

func selectedBy(v service) Finding {
	names := inFront(v.stable, v.services)
	if len(names) == 0 {
		return missing("no Service of %s selects the labels of deployment/%s: %s", v.stable.Namespace, v.stable.Name,
			labels.FormatLabels(v.stable.Spec.Template.Labels)).
			with("kubectl expose -n %s deployment/%s --port=80", v.stable.Namespace, v.stable.Name)
	}
	return ok("%s", all(names))
}

func labelsApart(v service, name string) Finding {
	selector, note := deploy.Apart(v.stable, name, v.services)
	if note != "" {
		return warning("%s", note).
			with("leave one label of the Deployment's selector, such as app, out of the selector of the users' Service")
	}
	return ok("%s", metav1.FormatLabelSelector(selector))
}

func disjoint(stable, canary *appsv1.Deployment) Finding {
	if canary == nil {
		return ok("there is no canary Deployment yet: the first release makes it")
	}
	for one, other := range map[*appsv1.Deployment]*appsv1.Deployment{stable: canary, canary: stable} {
		selector, err := metav1.LabelSelectorAsSelector(one.Spec.Selector)
		if err == nil && selector.Matches(labels.Set(other.Spec.Template.Labels)) {
			return missing("the selector of deployment/%s (%s) matches the pods of deployment/%s", one.Name, selector, other.Name).
				with("kubectl delete -n %s deployment/%s: the next release makes it with labels of its own", canary.Namespace, canary.Name)
		}
	}
	return ok("%s", metav1.FormatLabelSelector(canary.Spec.Selector))
}

func readinessOf(d *appsv1.Deployment) Finding {
	var lacking []string
	probed := 0
	for _, container := range d.Spec.Template.Spec.Containers {
		switch {
		case container.ReadinessProbe != nil:
			probed++
		case len(container.Ports) > 0 || len(d.Spec.Template.Spec.Containers) == 1:
			lacking = append(lacking, container.Name)
		}
	}
	if len(lacking) > 0 {
		return missing("the container %s has none", all(lacking)).
			with("add readinessProbe: {httpGet: {path: /readyz, port: http}, periodSeconds: 2} to it in its manifest")
	}
	return ok("%s with a readinessProbe", counted(probed, "container"))
}

// sleeps finds the seconds of a command such as sh -c "sleep 10".
var sleeps = regexp.MustCompile(`\bsleep\s+(\d+)`)

// preStopSeconds is how long a container waits before it is told to stop; known is false for a hook whose time cannot be seen.
func preStopSeconds(container corev1.Container) (seconds int64, known bool) {
	switch hook := container.Lifecycle; {
	case hook == nil || hook.PreStop == nil:
		return 0, true
	case hook.PreStop.Sleep != nil:
		return hook.PreStop.Sleep.Seconds, true
	case hook.PreStop.Exec != nil:
		if match := sleeps.FindStringSubmatch(strings.Join(hook.PreStop.Exec.Command, " ")); match != nil {
			seconds, err := strconv.ParseInt(match[1], 10, 64)
			return seconds, err == nil
		}
	}
	return 0, false
}

// listening are the containers that requests come to: those with ports, or the only one.
func listening(d *appsv1.Deployment) (found []corev1.Container) {
	for _, container := range d.Spec.Template.Spec.Containers {
		if len(container.Ports) > 0 || len(d.Spec.Template.Spec.Containers) == 1 {
			found = append(found, container)
		}
	}
	return found
}

func preStopOf(d *appsv1.Deployment, delay int64) Finding {
	var short []string
	for _, container := range listening(d) {
		if seconds, known := preStopSeconds(container); known && seconds < delay {
			short = append(short, fmt.Sprintf("preStop of the container %s waits %d s, and the router needs %d s", container.Name, seconds, delay))
		}
	}
	if len(short) > 0 {
		return warning("%s", all(short)).with("add lifecycle: {preStop: {sleep: {seconds: %d}}} to it in its manifest", delay)
	}
	return ok("at least %d s", delay)
}

func graceOf(d *appsv1.Deployment) Finding {
	grace := int64(corev1.DefaultTerminationGracePeriodSeconds)
	if given := d.Spec.Template.Spec.TerminationGracePeriodSeconds; given != nil {
		grace = *given
	}
	for _, container := range listening(d) {
		if seconds, _ := preStopSeconds(container); seconds >= grace {
			return missing("preStop of the container %s waits %d s of the %d s of terminationGracePeriodSeconds", container.Name, seconds, grace).
				with("set terminationGracePeriodSeconds to %d or more in its manifest", seconds+20)
		}
	}
	return ok("%d s", grace)
}

func unavailableOf(d *appsv1.Deployment) Finding {
	const fix = "set strategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 0, maxSurge: 50%%}} in its manifest"
	if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		return missing("strategy.type is Recreate: all pods end before the first new one starts").with(fix)
	}
	if d.Spec.Strategy.RollingUpdate == nil || d.Spec.Strategy.RollingUpdate.MaxUnavailable == nil {
		return ok("the default")
	}
	most, err := intstr.GetScaledValueFromIntOrPercent(d.Spec.Strategy.RollingUpdate.MaxUnavailable, replicas(d), false)
	if err == nil && most > 0 && most >= replicas(d) {
		return missing("maxUnavailable is %s of %d pods", d.Spec.Strategy.RollingUpdate.MaxUnavailable, replicas(d)).with(fix)
	}
	return ok("maxUnavailable is %s", d.Spec.Strategy.RollingUpdate.MaxUnavailable)
}
