package canary

import (
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func TestCountTakesPodsThatGetTraffic(t *testing.T) {
	yes, no := true, false
	endpoint := func(pod string, ready, terminating *bool) discoveryv1.Endpoint {
		return discoveryv1.Endpoint{Addresses: []string{pod}, TargetRef: &corev1.ObjectReference{Name: pod}, Conditions: discoveryv1.EndpointConditions{Ready: ready, Terminating: terminating}}
	}
	slices := []discoveryv1.EndpointSlice{
		{Endpoints: []discoveryv1.Endpoint{
			endpoint("app-6d4cf56db6-aaaaa", &yes, nil),
			endpoint("app-6d4cf56db6-bbbbb", &no, nil),
			endpoint("app-6d4cf56db6-ccccc", &yes, &yes),
			endpoint("app-canary-6d4cf56db6-aaaaa", nil, &no),
			endpoint("other-1", &yes, nil),
		}},
		{Endpoints: []discoveryv1.Endpoint{endpoint("app-6d4cf56db6-aaaaa", &yes, nil)}}, // by its other address
	}
	counts := count(slices, "app", "app-canary")
	assert.Equal(t, Counts{Stable: 1, Canary: 1, Other: 1}, counts)
	assert.InDelta(t, 100./3, counts.Share(), 1e-9)
}

func TestOwner(t *testing.T) {
	assert.Equal(t, "fastapi-app", owner("fastapi-app-6d4cf56db6-abcde"))
	assert.Equal(t, "fastapi-app-canary", owner("fastapi-app-canary-6d4cf56db6-abcde"))
}

func TestRoomInAQuota(t *testing.T) {
	pod := corev1.PodSpec{Containers: []corev1.Container{
		{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}}},
		{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("150m")}}},
	}}
	for _, test := range []struct {
		name       corev1.ResourceName
		hard, used string
		room       int
		counts     bool
	}{
		{"pods", "10", "7", 3, true},
		{"pods", "10", "12", 0, true},
		{"requests.cpu", "1", "200m", 3, true},
		{"cpu", "1", "0", 4, true},
		{"requests.memory", "1Gi", "0", 0, false},
		{"services", "1", "1", 0, false},
	} {
		room, counts := roomFor(test.name, resource.MustParse(test.hard), resource.MustParse(test.used), pod)
		assert.Equal(t, test.counts, counts, test.name)
		assert.Equal(t, test.room, room, test.name)
	}
}
