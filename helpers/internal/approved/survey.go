package approved

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
	"slipway.dev/slipway/helpers/internal/safe"
)

// Label of a namespace says whether the guard enforces or warns.
const Label = "slipway.dev/guard"

// Survey is what a namespace runs beside what its guard admits.
type Survey struct {
	Namespace string    `json:"namespace"`
	Mode      string    `json:"mode"` // enforce, warn, or empty
	List      bool      `json:"list"` // whether there is a list
	Approved  []Entry   `json:"approved"`
	Others    []string  `json:"others"`
	Refused   []Finding `json:"refused"`
	Broken    []Finding `json:"breakGlass"`
	running   []use
}

// Finding is one object that the guard would refuse, or that went past it.
type Finding struct {
	Object string `json:"object"`
	Image  string `json:"image,omitempty"`
	Why    string `json:"why"`
}

// use is an image of an object that makes pods.
type use struct{ object, image string }

// kinds that make pods or lead traffic. A cluster need not have all of them.
var kinds = []schema.GroupVersionResource{
	{Group: "apps", Version: "v1", Resource: "deployments"}, {Group: "apps", Version: "v1", Resource: "statefulsets"},
	{Group: "apps", Version: "v1", Resource: "daemonsets"}, {Group: "apps", Version: "v1", Resource: "replicasets"},
	{Group: "batch", Version: "v1", Resource: "cronjobs"}, {Group: "batch", Version: "v1", Resource: "jobs"},
	{Version: "v1", Resource: "replicationcontrollers"}, {Version: "v1", Resource: "pods"}, {Version: "v1", Resource: "podtemplates"},
	{Version: "v1", Resource: "services"}, {Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"},
	{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"},
	{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "grpcroutes"},
	{Group: "traefik.io", Version: "v1alpha1", Resource: "traefikservices"},
	{Group: "traefik.io", Version: "v1alpha1", Resource: "ingressroutes"},
	{Group: "networking.istio.io", Version: "v1", Resource: "virtualservices"},
	{Group: "networking.istio.io", Version: "v1", Resource: "destinationrules"},
}

// Look surveys the cluster's namespace.
func Look(ctx context.Context, cluster *kube.Cluster) (Survey, error) {
	s := Survey{Namespace: cluster.Namespace, Approved: []Entry{}, Others: []string{}, Refused: []Finding{}, Broken: []Finding{}}
	space, err := cluster.Dynamic().Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}).
		Get(ctx, cluster.Namespace, metav1.GetOptions{})
	if err != nil {
		return s, kube.Explain(err, "reading the namespace "+cluster.Namespace)
	}
	s.Mode = space.GetLabels()[Label]
	current, err := cluster.Core().ConfigMaps(cluster.Namespace).Get(ctx, Name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return s, kube.Explain(err, "reading the ConfigMap "+Name)
	}
	s.List = err == nil
	var data map[string]string
	if s.List {
		data = current.Data
	}
	admitted, err := parse(data)
	if err != nil {
		return s, err
	}
	s.Others = append(s.Others, admitted.others...)
	for _, entries := range admitted.entries {
		s.Approved = append(s.Approved, entries...)
	}
	slices.SortFunc(s.Approved, func(a, b Entry) int { return b.At.Compare(a.At) })
	for _, kind := range kinds {
		if err := s.look(ctx, cluster, kind); err != nil {
			return s, err
		}
	}
	for _, each := range s.running {
		if _, _, pinned := Parse(each.image); !pinned {
			s.Refused = append(s.Refused, Finding{each.object, each.image, "it is not named by its digest"})
		} else if !admitted.admits(each.image) {
			s.Refused = append(s.Refused, Finding{each.object, each.image, "it is not on the list"})
		}
	}
	return s, nil
}

func (s *Survey) look(ctx context.Context, cluster *kube.Cluster, kind schema.GroupVersionResource) error {
	found, err := own(ctx, cluster, kind)
	if err != nil {
		return kube.Explain(err, "listing "+kind.Resource)
	}
	for _, object := range found {
		if finding := broken(object); finding != nil {
			s.Broken = append(s.Broken, *finding)
			tell(ctx, cluster, object, finding.Why)
		}
		pod, err := podOf(object)
		if err != nil {
			return fmt.Errorf("reading %s: %w", nameOf(object), err)
		}
		for _, image := range Images(pod) {
			if each := (use{nameOf(object), image}); !slices.Contains(s.running, each) {
				s.running = append(s.running, each)
			}
		}
	}
	return nil
}

// own are the objects of a kind that no other object makes. A cluster need not have the kind.
func own(ctx context.Context, cluster *kube.Cluster, kind schema.GroupVersionResource) (objects []*unstructured.Unstructured, err error) {
	found, err := cluster.Dynamic().Resource(kind).Namespace(cluster.Namespace).List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for i := range found.Items {
		if metav1.GetControllerOf(&found.Items[i]) == nil {
			objects = append(objects, &found.Items[i])
		}
	}
	return objects, nil
}

func nameOf(object *unstructured.Unstructured) string {
	return strings.ToLower(object.GetKind()) + "/" + object.GetName()
}

// podOf is the pod that an object makes; an empty one where it makes none.
func podOf(object *unstructured.Unstructured) (pod corev1.PodSpec, err error) {
	path := map[string][]string{"Pod": {"spec"}, "CronJob": {"spec", "jobTemplate", "spec", "template", "spec"},
		"Deployment": {"spec", "template", "spec"}, "StatefulSet": {"spec", "template", "spec"}, "DaemonSet": {"spec", "template", "spec"},
		"ReplicaSet": {"spec", "template", "spec"}, "Job": {"spec", "template", "spec"},
		"ReplicationController": {"spec", "template", "spec"}}[object.GetKind()]
	if path == nil {
		return pod, nil
	}
	spec, _, err := unstructured.NestedMap(object.Object, path...)
	if err == nil {
		err = runtime.DefaultUnstructuredConverter.FromUnstructured(spec, &pod)
	}
	return pod, err
}

// Text is what a person reads: what would be refused first.
func (s Survey) Text(out io.Writer) error {
	mode := map[string]string{"": "is not guarded (no label " + Label + ")", "warn": "is warned of by the guard",
		"enforce": "is guarded"}[s.Mode]
	if mode == "" {
		mode = "has the label " + Label + "=" + s.Mode + ", which is neither warn nor enforce: it is not guarded"
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "the namespace %s %s\n", s.Namespace, safe.Line(mode))
	if !s.List {
		fmt.Fprintf(table, "there is no ConfigMap %s: a guard that enforces admits nothing\n", Name)
	}
	for _, each := range s.Broken {
		fmt.Fprintf(table, "BREAK GLASS\t%s\t%s\n", each.Object, safe.Line(each.Why))
	}
	for _, each := range s.Refused {
		fmt.Fprintf(table, "REFUSED\t%s\t%s\t%s\n", each.Object, safe.Line(each.Image), each.Why)
	}
	for _, each := range s.Approved {
		fmt.Fprintf(table, "approved\t%s\t%s\t%s\t%s\n", safe.Line(each.Image), safe.Line(strings.Join(
			append([]string{each.What}, each.Approvers...), " ")), safe.Line(each.Build), each.At.Format("2006-01-02 15:04Z"))
	}
	for _, each := range s.Others {
		fmt.Fprintf(table, "others\t%s\n", safe.Line(each))
	}
	return table.Flush()
}

// Answer is for a pipeline.
func (s Survey) Answer() slipway.Fields {
	return slipway.Fields{"mode": s.Mode, "list": s.List, "refused": len(s.Refused), "breakGlass": len(s.Broken)}
}
