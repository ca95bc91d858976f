package rollout

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"slipway.dev/slipway/helpers/internal/kube"
)

// The scheduler's words for what a pod asks for and a node is not; it does not say which.
// https://github.com/kubernetes/kubernetes/tree/v1.34.0/pkg/scheduler/framework/plugins
const (
	byLabels   = "node affinity/selector"
	byPods     = "pod affinity rules"
	byNoPods   = "pod anti-affinity rules"
	bySpread   = "topology spread constraints"
	byPorts    = "free ports"
	nodesRead  = 500 // at most; of a larger cluster any of these
	nodesNamed = 3
)

// placement says which of the pod's own terms the scheduler means, and, where the nodes
// may be read, which of them come nearest and what these lack.
func placement(o Objects, pod *corev1.Pod, message string) string {
	var terms []string
	if strings.Contains(message, byLabels) {
		for _, choice := range choices(pod) {
			terms = append(terms, choice.text())
		}
		if len(terms) > 1 {
			terms = []string{strings.Join(terms, ", or ")}
		}
	}
	terms = append(terms, podTerms(pod, message)...)
	if len(terms) == 0 {
		return ""
	}
	text := "; it asks for " + strings.Join(terms, ", and ")
	if near := nearest(pod, o.Labels); near != "" && strings.Contains(message, byLabels) {
		text += "; nearest: " + near
	}
	return text
}

// requirement is one that a node's labels, or its name, have to meet.
type requirement struct {
	from, key string
	operator  corev1.NodeSelectorOperator
	values    []string
	field     bool
}

func (r requirement) String() string {
	switch {
	case r.operator == corev1.NodeSelectorOpIn && len(r.values) == 1:
		return r.key + "=" + r.values[0]
	case len(r.values) == 0:
		return fmt.Sprintf("%s %s", r.key, r.operator)
	}
	return fmt.Sprintf("%s %s (%s)", r.key, r.operator, strings.Join(r.values, ", "))
}

var operators = map[corev1.NodeSelectorOperator]selection.Operator{
	corev1.NodeSelectorOpIn: selection.In, corev1.NodeSelectorOpNotIn: selection.NotIn, corev1.NodeSelectorOpExists: selection.Exists,
	corev1.NodeSelectorOpDoesNotExist: selection.DoesNotExist, corev1.NodeSelectorOpGt: selection.GreaterThan,
	corev1.NodeSelectorOpLt: selection.LessThan,
}

func (r requirement) metBy(node metav1.ObjectMeta) bool {
	if r.field { // metadata.name is the only one, with In or NotIn
		return slices.Contains(r.values, node.Name) == (r.operator == corev1.NodeSelectorOpIn)
	}
	asked, err := labels.NewRequirement(r.key, operators[r.operator], r.values)
	return err == nil && asked.Matches(labels.Set(node.Labels))
}

// lack says what the node has instead.
func (r requirement) lack(node metav1.ObjectMeta) string {
	if has, labelled := node.Labels[r.key]; labelled && !r.field {
		return fmt.Sprintf("%s (it has %s=%s)", r, r.key, has)
	}
	return r.String()
}

// choice is what a node has to meet all of; a pod may leave several.
type choice []requirement

func (c choice) text() string {
	parts := make([]string, 0, len(c))
	for _, r := range c {
		parts = append(parts, r.from+" "+r.String())
	}
	return strings.Join(parts, " and ")
}

// choices are the pod's nodeSelector with each term of its required node affinity.
// https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/
func choices(pod *corev1.Pod) []choice {
	var always choice
	for key, value := range pod.Spec.NodeSelector {
		always = append(always, requirement{from: "nodeSelector", key: key, operator: corev1.NodeSelectorOpIn, values: []string{value}})
	}
	slices.SortFunc(always, func(a, b requirement) int { return strings.Compare(a.key, b.key) })
	affinity := pod.Spec.Affinity
	if affinity == nil || affinity.NodeAffinity == nil || affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		if always == nil {
			return nil
		}
		return []choice{always}
	}
	var all []choice
	for _, term := range affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		one := slices.Clone(always)
		for _, e := range term.MatchExpressions {
			one = append(one, requirement{"nodeAffinity", e.Key, e.Operator, e.Values, false})
		}
		for _, e := range term.MatchFields {
			one = append(one, requirement{"nodeAffinity", e.Key, e.Operator, e.Values, true})
		}
		all = append(all, one)
	}
	return all
}

// nearest names the nodes that lack the fewest of what one of the choices asks for.
func nearest(pod *corev1.Pod, nodes []metav1.ObjectMeta) string {
	least := -1
	var named []string
	for _, node := range nodes {
		lacks, found := lacking(choices(pod), node)
		if !found || len(lacks) == 0 {
			continue // one that matches is refused for another reason, which the scheduler gives
		}
		if least < 0 || len(lacks) < least {
			least, named = len(lacks), nil
		}
		if len(lacks) == least {
			named = append(named, node.Name+" lacks "+strings.Join(lacks, " and "))
		}
	}
	slices.Sort(named)
	if more := len(named) - nodesNamed; more > 0 {
		named = append(named[:nodesNamed], fmt.Sprintf("and %d more nodes", more))
	}
	return strings.Join(named, "; ")
}

func lacking(all []choice, node metav1.ObjectMeta) (lacks []string, found bool) {
	for _, choice := range all {
		var these []string
		for _, r := range choice {
			if !r.metBy(node) {
				these = append(these, r.lack(node))
			}
		}
		if !found || len(these) < len(lacks) {
			lacks, found = these, true
		}
	}
	return lacks, found
}

// podTerms are the pod's terms about other pods, and its ports, that the message is about.
func podTerms(pod *corev1.Pod, message string) []string {
	var terms []string
	affine := func(kind string, list []corev1.PodAffinityTerm) {
		for _, term := range list {
			terms = append(terms, fmt.Sprintf("%s pods with %s in its %s", kind, metav1.FormatLabelSelector(term.LabelSelector), term.TopologyKey))
		}
	}
	if affinity := pod.Spec.Affinity; affinity != nil {
		if affinity.PodAffinity != nil && strings.Contains(message, byPods) {
			affine("podAffinity:", affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution)
		}
		if affinity.PodAntiAffinity != nil && strings.Contains(message, byNoPods) {
			affine("podAntiAffinity: no", affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution)
		}
	}
	if strings.Contains(message, bySpread) {
		for _, c := range pod.Spec.TopologySpreadConstraints {
			if c.WhenUnsatisfiable == corev1.DoNotSchedule {
				terms = append(terms, fmt.Sprintf("topologySpreadConstraints: at most %d more pods with %s in one %s than in another", c.MaxSkew,
					metav1.FormatLabelSelector(c.LabelSelector), c.TopologyKey))
			}
		}
	}
	if strings.Contains(message, byPorts) {
		for _, container := range AllContainers(pod.Spec) {
			for _, port := range container.Ports {
				if port.HostPort > 0 {
					terms = append(terms, fmt.Sprintf("hostPort %d", port.HostPort))
				}
			}
		}
	}
	return terms
}

// labelsOfNodes reads the nodes' metadata only: their status is long.
func labelsOfNodes(ctx context.Context, cluster *kube.Cluster) ([]metav1.ObjectMeta, error) {
	answer := cluster.Core().RESTClient().Get().Resource("nodes").Param("limit", fmt.Sprint(nodesRead)).
		SetHeader("Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1").Do(ctx)
	if err := answer.Error(); err != nil {
		return nil, err
	}
	body, err := answer.Raw()
	if err != nil {
		return nil, err
	}
	var list metav1.PartialObjectMetadataList
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("reading the list of nodes: %w", err)
	}
	nodes := make([]metav1.ObjectMeta, 0, len(list.Items))
	for _, node := range list.Items {
		nodes = append(nodes, node.ObjectMeta)
	}
	return nodes, nil
}
