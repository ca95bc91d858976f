package check

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"slipway.dev/slipway/helpers/internal/approved"
	"slipway.dev/slipway/helpers/internal/room"
)

var serviceChecks = []Check{
	{"service-deployment", Service, "the Deployment is there, with pods that are available", "there is nothing to release", deploymentThere},
	{"service-image", Service, "every container names its image by digest", "what a tag names can change: what runs is not known",
		imageNamed},
	{"service-replicas", Service, "it has at least two pods", "each drained node interrupts the service, and a canary's least share is a half",
		onService(func(s *Site, v service) Finding { return replicasOf(v.stable) })},
	{"service-selected", Service, "a Service selects its pods", "no request reaches the service, or its canary",
		onService(func(s *Site, v service) Finding { return selectedBy(v) })},
	{"service-labels", Service, "a label can tell a canary's pods from the stable ones",
		"metrics of the two versions fall into one series",
		onService(func(s *Site, v service) Finding { return labelsApart(v, s.Names.Canary) })},
	{"service-canary", Service, "the selectors of the stable and of the canary Deployment are disjoint",
		"the one adopts or counts the pods of the other", onService(func(s *Site, v service) Finding { return disjoint(v.stable, v.canary) })},
	{"service-readiness", Service, "every container that listens has a readinessProbe",
		"a pod gets requests before it can answer them, and a broken release looks done",
		onService(func(s *Site, v service) Finding { return readinessOf(v.stable) })},
	{"service-prestop", Service, "preStop waits until the router has taken the pod out (--router-delay)",
		"with each rollout some requests reach pods that have ended",
		onService(func(s *Site, v service) Finding { return preStopOf(v.stable, int64(s.RouterDelay.Seconds())) })},
	{"service-grace", Service, "terminationGracePeriodSeconds is longer than preStop",
		"the process is killed in the middle of its requests", onService(func(s *Site, v service) Finding { return graceOf(v.stable) })},
	{"service-unavailable", Service, "a rollout leaves pods available (strategy, maxUnavailable)", "a release interrupts the service",
		onService(func(s *Site, v service) Finding { return unavailableOf(v.stable) })},
	{"service-budget", Service, "one PodDisruptionBudget selects its pods, and lets at least one go",
		"a drain takes all pods at once, or never ends",
		onService(func(s *Site, v service) Finding { return budgetOf(v.stable, v.budgets) })},
	{"service-autoscaler", Service, "a HorizontalPodAutoscaler, if there is one, scales the stable Deployment between two numbers",
		"it changes the canary's pods, and with them its share", onService(func(s *Site, v service) Finding {
			return autoscalerOf(v.scalers, s.Names.Stable, s.Names.Canary)
		})},
	{"service-gitops", Service, "no GitOps controller owns the Deployment", "it sets the image back after each release",
		onService(func(s *Site, v service) Finding { return gitOpsOf(v.stable) })},
	{"service-pull-secret", Service, "its pods name the Secret nexus-pull, or their ServiceAccount does",
		"nodes pull its images without a login, and are refused",
		onService(func(s *Site, v service) Finding { return pullNamed(v.stable, v.account) })},
	{"service-resources", Service, "every container requests CPU and memory",
		"the scheduler puts too many pods onto a node, and a canary's latency says nothing",
		onService(func(s *Site, v service) Finding { return requestsOf(v.stable) })},
	{"service-quota", Service, "the quotas have room for a canary and for the surge of a rollout",
		"a rollout stands still in the middle: exceeded quota", serviceRoom},
	{"service-limits", Service, "its containers keep the LimitRanges of the namespace", "every new pod is refused",
		onService(func(s *Site, v service) Finding { return limitsOf(v.stable, v.ranges) })},
	{"service-reaper", Service, "the reaper of the namespace is the one of this service", "a canary whose pipeline died is not undone",
		onService(func(s *Site, v service) Finding { return reaperOf(v.reaper, s) })},
}

// service is what the cluster has of it.
type service struct {
	stable, canary           *appsv1.Deployment // nil where there is none
	services                 []corev1.Service
	budgets, scalers, ranges []unstructured.Unstructured
	account, reaper          *unstructured.Unstructured
}

var (
	budgets = schemaKind{Group: "policy", Version: "v1", Resource: "poddisruptionbudgets"}
	scalers = schemaKind{Group: "autoscaling", Version: "v2", Resource: "horizontalpodautoscalers"}
	ranges  = schemaKind{Version: "v1", Resource: "limitranges"}
)

// serviceOf reads the objects once.
func (s *Site) serviceOf(ctx context.Context) (service, error) {
	return s.service.get(ctx, s.limit, func(ctx context.Context) (v service, err error) {
		if _, err := s.api(ctx); err != nil {
			return v, err
		}
		deployments := s.Cluster.Apps().Deployments(s.Namespace)
		for name, into := range map[string]**appsv1.Deployment{s.Names.Stable: &v.stable, s.Names.Canary: &v.canary} {
			found, err := deployments.Get(ctx, name, metav1.GetOptions{})
			if err == nil {
				*into = found
			} else if !apierrors.IsNotFound(err) {
				return v, err
			}
		}
		found, err := s.Cluster.Core().Services(s.Namespace).List(ctx, metav1.ListOptions{})
		if err != nil || v.stable == nil {
			return v, err
		}
		v.services = found.Items
		for kind, into := range map[schemaKind]*[]unstructured.Unstructured{budgets: &v.budgets, scalers: &v.scalers, ranges: &v.ranges} {
			if *into, err = s.list(ctx, kind, s.Namespace); err != nil {
				return v, err
			}
		}
		account := v.stable.Spec.Template.Spec.ServiceAccountName
		if account == "" {
			account = "default"
		}
		if v.account, err = s.get(ctx, accounts, s.Namespace, account); err != nil {
			return v, err
		}
		v.reaper, err = s.get(ctx, cronJobs, s.Namespace, "canary-reaper")
		return v, err
	})
}

func deploymentThere(ctx context.Context, s *Site) Finding {
	v, err := s.serviceOf(ctx)
	switch {
	case err != nil:
		return unanswered(err)
	case v.stable == nil:
		return missing("there is no deployment/%s in %s", s.Names.Stable, s.Namespace).
			with("kubectl create -k k8s/first/%s, for the reference service; or name yours: --app, --stable, -n", s.Namespace)
	case v.stable.Status.AvailableReplicas == 0:
		return warning("no pod of deployment/%s is available", s.Names.Stable).
			with("rollout-wait -n %s deployment/%s says why", s.Namespace, s.Names.Stable)
	}
	return ok("%d pods of deployment/%s are available", v.stable.Status.AvailableReplicas, s.Names.Stable)
}

func onService(judge func(*Site, service) Finding) func(context.Context, *Site) Finding {
	return func(ctx context.Context, s *Site) Finding {
		v, err := s.serviceOf(ctx)
		switch {
		case err != nil:
			return unanswered(err)
		case v.stable == nil:
			return skipped("there is no Deployment: service-deployment")
		}
		return judge(s, v)
	}
}

// imageNamed leaves a guarded namespace to the check approved-images.
func imageNamed(ctx context.Context, s *Site) Finding {
	if space, err := s.get(ctx, spaces, "", s.Namespace); err == nil && space != nil && space.GetLabels()[approved.Label] != "" {
		return skipped("the namespace is guarded: approved-images")
	}
	return onService(func(_ *Site, v service) Finding { return imagesByDigest(v.stable) })(ctx, s)
}

func budgetOf(d *appsv1.Deployment, found []unstructured.Unstructured) Finding {
	var names []string
	for i := range found {
		var budget struct {
			Spec struct {
				Selector                     *metav1.LabelSelector
				MinAvailable, MaxUnavailable *intstr.IntOrString
			}
		}
		decode(&found[i], &budget)
		selector, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector)
		if err != nil || !selector.Matches(labels.Set(d.Spec.Template.Labels)) {
			continue
		}
		names = append(names, found[i].GetName())
		if may := disruptions(budget.Spec.MinAvailable, budget.Spec.MaxUnavailable, replicas(d)); may < 1 && replicas(d) > 0 {
			return missing("poddisruptionbudget/%s lets none of %d pods go: a drain of their node never ends", found[i].GetName(), replicas(d)).
				with(`kubectl patch -n %s poddisruptionbudget/%s -p '{"spec":{"minAvailable":null,"maxUnavailable":1}}'`, d.Namespace,
					found[i].GetName())
		}
	}
	switch len(names) {
	case 0:
		return warning("none selects the pods of deployment/%s", d.Name).
			with("kubectl create poddisruptionbudget %s -n %s --selector=%s --max-unavailable=1", d.Name, d.Namespace,
				metav1.FormatLabelSelector(d.Spec.Selector))
	case 1:
		return ok("poddisruptionbudget/%s", names[0])
	}
	return missing("several select the same pods, which no eviction can handle: %s", all(names)).
		with("kubectl delete -n %s poddisruptionbudget/%s", d.Namespace, names[1])
}

// disruptions are how many of the pods a budget lets go while all are ready.
func disruptions(least, most *intstr.IntOrString, pods int) int {
	switch {
	case most != nil:
		value, err := intstr.GetScaledValueFromIntOrPercent(most, pods, true)
		if err == nil {
			return value
		}
	case least != nil:
		value, err := intstr.GetScaledValueFromIntOrPercent(least, pods, true)
		if err == nil {
			return pods - value
		}
	default:
		return pods - 1 // minAvailable is 1 where neither is named
	}
	return pods
}

func autoscalerOf(found []unstructured.Unstructured, stable, canary string) Finding {
	for i := range found {
		var scaler struct {
			Spec struct {
				ScaleTargetRef struct{ Kind, Name string }
				MinReplicas    *int
				MaxReplicas    int
			}
		}
		decode(&found[i], &scaler)
		target := scaler.Spec.ScaleTargetRef
		switch {
		case target.Kind == "Deployment" && target.Name == canary:
			return missing("horizontalpodautoscaler/%s scales deployment/%s", found[i].GetName(), canary).
				with("kubectl delete -n %s horizontalpodautoscaler/%s", found[i].GetNamespace(), found[i].GetName())
		case target.Kind == "Deployment" && target.Name == stable:
			least := 1
			if scaler.Spec.MinReplicas != nil {
				least = *scaler.Spec.MinReplicas
			}
			if least < 2 {
				return warning("horizontalpodautoscaler/%s scales deployment/%s down to %d", found[i].GetName(), stable, least).
					with(`kubectl patch -n %s horizontalpodautoscaler/%s -p '{"spec":{"minReplicas":2}}'`, found[i].GetNamespace(), found[i].GetName())
			}
			return ok("horizontalpodautoscaler/%s: %d to %d pods", found[i].GetName(), least, scaler.Spec.MaxReplicas)
		}
	}
	return ok("there is none")
}

// owners are the marks that GitOps controllers leave on what they apply.
var owners = map[string]string{
	"argocd.argoproj.io/tracking-id":   "Argo CD",
	"argocd.argoproj.io/instance":      "Argo CD",
	"kustomize.toolkit.fluxcd.io/name": "Flux",
	"helm.toolkit.fluxcd.io/name":      "Flux",
	"objectset.rio.cattle.io/id":       "Fleet",
	"configmanagement.gke.io/managed":  "Config Sync",
	"kapp.k14s.io/app":                 "kapp-controller",
}

func gitOpsOf(d *appsv1.Deployment) Finding {
	for _, marks := range []map[string]string{d.Labels, d.Annotations} {
		for key, owner := range owners {
			if marks[key] != "" {
				return warning("%s applies deployment/%s (%s: %s)", owner, d.Name, key, marks[key]).
					with("let it leave spec.replicas and the image alone (Argo CD: ignoreDifferences; Flux: an annotation of the object, " +
						"kustomize.toolkit.fluxcd.io/ssa: Merge), or leave the Deployment out of its repository")
			}
		}
	}
	return ok("no mark of one")
}

func pullNamed(d *appsv1.Deployment, account *unstructured.Unstructured) Finding {
	is := func(ref corev1.LocalObjectReference) bool { return ref.Name == pullSecretName }
	var named struct{ ImagePullSecrets []corev1.LocalObjectReference }
	if account != nil {
		decode(account, &named)
	}
	if slices.ContainsFunc(d.Spec.Template.Spec.ImagePullSecrets, is) || slices.ContainsFunc(named.ImagePullSecrets, is) {
		return ok("named")
	}
	return warning("neither deployment/%s nor its ServiceAccount names it in imagePullSecrets", d.Name).
		with("add imagePullSecrets: [{name: %s}] to the pod template in its manifest", pullSecretName)
}

func requestsOf(d *appsv1.Deployment) Finding {
	var lacking []string
	for _, container := range d.Spec.Template.Spec.Containers {
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			_, requested := container.Resources.Requests[name]
			if _, limited := container.Resources.Limits[name]; !requested && !limited {
				lacking = append(lacking, fmt.Sprintf("%s of the container %s", name, container.Name))
			}
		}
	}
	if len(lacking) > 0 {
		return warning("nothing is requested: %s", all(lacking)).
			with("add resources: {requests: {cpu: 100m, memory: 128Mi}} to it in its manifest, with its own numbers")
	}
	return ok("requested")
}

// serviceRoom counts one canary pod and the surge of a rollout.
func serviceRoom(ctx context.Context, s *Site) Finding {
	v, err := s.serviceOf(ctx)
	switch {
	case err != nil:
		return unanswered(err)
	case v.stable == nil:
		return skipped("there is no Deployment: service-deployment")
	}
	cluster := *s.Cluster
	cluster.Namespace = s.Namespace
	left, err := room.Left(ctx, &cluster, v.stable.Spec.Template.Spec)
	if err != nil {
		return unanswered(err)
	}
	needed := 1 + room.Surge(v.stable)
	if v.canary != nil {
		needed = max(1, needed-replicas(v.canary))
	}
	return roomOf(left, needed, s.Namespace)
}

func roomOf(left room.Room, needed int, namespace string) Finding {
	if left.Pods < needed {
		return missing("%s, and a canary and the surge need %d", left.Why, needed).with("kubectl edit resourcequota -n %s", namespace)
	}
	return ok("for %d more pods", needed)
}

// limitsOf compares each container with the LimitRanges of the type Container.
func limitsOf(d *appsv1.Deployment, found []unstructured.Unstructured) Finding {
	for i := range found {
		var limit corev1.LimitRange
		decode(&found[i], &limit)
		for _, item := range limit.Spec.Limits {
			if item.Type != corev1.LimitTypeContainer {
				continue
			}
			for _, container := range d.Spec.Template.Spec.Containers {
				if why := exceeds(container, item); why != "" {
					return missing("the container %s %s of limitrange/%s", container.Name, why, limit.Name).
						with("change its resources in its manifest, or: kubectl edit -n %s limitrange/%s", d.Namespace, limit.Name)
				}
			}
		}
	}
	return ok("of %s", counted(len(found), "LimitRange"))
}

func exceeds(container corev1.Container, item corev1.LimitRangeItem) string {
	for name, most := range item.Max {
		limit, given := container.Resources.Limits[name]
		if !given {
			limit, given = item.Default[name]
		}
		if given && limit.Cmp(most) > 0 {
			return fmt.Sprintf("has the limit %s of %s, above the max %s", limit.String(), name, most.String())
		}
	}
	for name, least := range item.Min {
		request, given := container.Resources.Requests[name]
		if !given {
			request, given = item.DefaultRequest[name]
		}
		if given && request.Cmp(least) < 0 {
			return fmt.Sprintf("requests %s of %s, below the min %s", request.String(), name, least.String())
		}
	}
	return ""
}

func reaperOf(object *unstructured.Unstructured, s *Site) Finding {
	if object == nil {
		return skipped("there is no CronJob canary-reaper in %s: reaper", s.Namespace)
	}
	containers, _, _ := unstructured.NestedSlice(object.Object, "spec", "jobTemplate", "spec", "template", "spec", "containers")
	var words []string
	for _, container := range containers {
		var content struct{ Command, Args []string }
		if fields, is := container.(map[string]any); is {
			decode(&unstructured.Unstructured{Object: fields}, &content)
		}
		words = append(append(words, content.Command...), content.Args...)
	}
	if at := slices.Index(words, "--app"); at < 0 || at+1 == len(words) || words[at+1] != s.Names.App {
		return missing("the CronJob canary-reaper of %s does not name --app %s", s.Namespace, s.Names.App).
			with("change fastapi-app in k8s/site/delivery/canary-reaper.yaml to %s; %s", s.Names.App, s.applies())
	}
	return ok("it names %s", s.Names.App)
}
