package room

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func requests(cpu string) corev1.Container {
	return corev1.Container{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}}}
}

func quota(name corev1.ResourceName, hard, used string) corev1.ResourceQuota {
	q := corev1.ResourceQuota{}
	q.Status.Hard = corev1.ResourceList{name: resource.MustParse(hard)}
	q.Status.Used = corev1.ResourceList{name: resource.MustParse(used)}
	return q
}

func TestRoomInAQuota(t *testing.T) {
	pod := corev1.PodSpec{
		Containers:     []corev1.Container{requests("100m"), requests("150m")},
		InitContainers: []corev1.Container{requests("200m")},
	}
	for name, test := range map[string]struct {
		quotas []corev1.ResourceQuota
		want   int
	}{
		"none":                        {nil, math.MaxInt},
		"of pods":                     {[]corev1.ResourceQuota{quota("pods", "10", "7")}, 3},
		"counted as objects":          {[]corev1.ResourceQuota{quota("count/pods", "10", "7")}, 3},
		"used up and more":            {[]corev1.ResourceQuota{quota("pods", "10", "12")}, 0},
		"of CPU":                      {[]corev1.ResourceQuota{quota("requests.cpu", "1", "200m")}, 3},
		"of CPU by its short name":    {[]corev1.ResourceQuota{quota("cpu", "1", "0")}, 4},
		"of what no container asks":   {[]corev1.ResourceQuota{quota("requests.memory", "1Gi", "0")}, math.MaxInt},
		"of something else":           {[]corev1.ResourceQuota{quota("services", "1", "1")}, math.MaxInt},
		"the least of several counts": {[]corev1.ResourceQuota{quota("pods", "10", "5"), quota("pods", "10", "8")}, 2},
	} {
		assert.Equal(t, test.want, in(test.quotas, pod).Pods, name)
	}
}

func TestAQuotaCountsOnlyThePodsOfItsScopes(t *testing.T) {
	pod := corev1.PodSpec{Containers: []corev1.Container{requests("100m")}, PriorityClassName: "high"}
	selecting := func(operator corev1.ScopeSelectorOperator, values ...string) *corev1.ScopeSelector {
		return &corev1.ScopeSelector{
			MatchExpressions: []corev1.ScopedResourceSelectorRequirement{
				{ScopeName: corev1.ResourceQuotaScopePriorityClass, Operator: operator, Values: values},
			},
		}
	}
	for name, test := range map[string]struct {
		spec   corev1.ResourceQuotaSpec
		counts bool
	}{
		"pods that never end":   {corev1.ResourceQuotaSpec{Scopes: []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeNotTerminating}}, true},
		"pods that end":         {corev1.ResourceQuotaSpec{Scopes: []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeTerminating}}, false},
		"best effort":           {corev1.ResourceQuotaSpec{Scopes: []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeBestEffort}}, false},
		"not best effort":       {corev1.ResourceQuotaSpec{Scopes: []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeNotBestEffort}}, true},
		"this priority":         {corev1.ResourceQuotaSpec{ScopeSelector: selecting(corev1.ScopeSelectorOpIn, "low", "high")}, true},
		"another priority":      {corev1.ResourceQuotaSpec{ScopeSelector: selecting(corev1.ScopeSelectorOpIn, "low")}, false},
		"any but this one":      {corev1.ResourceQuotaSpec{ScopeSelector: selecting(corev1.ScopeSelectorOpNotIn, "high")}, false},
		"any priority":          {corev1.ResourceQuotaSpec{ScopeSelector: selecting(corev1.ScopeSelectorOpExists)}, true},
		"no priority":           {corev1.ResourceQuotaSpec{ScopeSelector: selecting(corev1.ScopeSelectorOpDoesNotExist)}, false},
		"a scope of later days": {corev1.ResourceQuotaSpec{Scopes: []corev1.ResourceQuotaScope{"New"}}, false},
		"two, of which one lacks": {corev1.ResourceQuotaSpec{Scopes: []corev1.ResourceQuotaScope{
			corev1.ResourceQuotaScopeNotTerminating, corev1.ResourceQuotaScopeBestEffort}}, false},
	} {
		assert.Equal(t, test.counts, counts(corev1.ResourceQuota{Spec: test.spec}, pod), name)
	}
}

func TestAPodAsksForItsSidecarsAndForItsGreatestInitContainer(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	sidecar := requests("50m")
	sidecar.RestartPolicy = &always
	for name, test := range map[string]struct {
		init, containers []corev1.Container
		want             int64
	}{
		"containers":                        {nil, []corev1.Container{requests("100m"), requests("100m")}, 200},
		"a smaller init container":          {[]corev1.Container{requests("150m")}, []corev1.Container{requests("200m")}, 200},
		"a greater init container":          {[]corev1.Container{requests("500m")}, []corev1.Container{requests("200m")}, 500},
		"a sidecar":                         {[]corev1.Container{sidecar}, []corev1.Container{requests("200m")}, 250},
		"an init container after a sidecar": {[]corev1.Container{sidecar, requests("300m")}, []corev1.Container{requests("200m")}, 350},
	} {
		assert.Equal(t, test.want, need(corev1.ResourceRequestsCPU, corev1.PodSpec{InitContainers: test.init, Containers: test.containers}), name)
	}
}

func TestDefaultsOfALimitRangeCount(t *testing.T) {
	limits := corev1.LimitRange{}
	limits.Spec.Limits = []corev1.LimitRangeItem{
		{Type: corev1.LimitTypeContainer, DefaultRequest: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("250m")}},
		{Type: corev1.LimitTypePod},
	}
	pod := corev1.PodSpec{Containers: []corev1.Container{{}, requests("500m")}}
	room := in([]corev1.ResourceQuota{quota("requests.cpu", "2", "0")}, withDefaults(pod, []corev1.LimitRange{limits}))
	assert.Equal(t, 2, room.Pods)
	assert.Contains(t, room.Why, "leaves room for 2 more pods by requests.cpu")
	assert.Empty(t, pod.Containers[0].Resources.Requests, "the pod itself is left alone")
}

func TestSurge(t *testing.T) {
	for name, test := range map[string]struct {
		replicas int32
		kind     appsv1.DeploymentStrategyType
		surge    string
		want     int
	}{
		"a number":   {3, "", "2", 2},
		"rounded up": {3, "", "25%", 1},
		"half":       {9, "", "50%", 5},
		"none":       {3, "", "0", 0},
		"no pods":    {0, "", "1", 0},
		"Recreate":   {3, appsv1.RecreateDeploymentStrategyType, "", 0},
	} {
		d := &appsv1.Deployment{}
		d.Spec.Replicas, d.Spec.Strategy.Type = &test.replicas, test.kind
		if test.surge != "" {
			surge := intstr.Parse(test.surge)
			d.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{MaxSurge: &surge}
		}
		assert.Equal(t, test.want, Surge(d), name)
	}
}
