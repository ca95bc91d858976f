package deploy

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func stableOf(name string, selector, labels map[string]string) *appsv1.Deployment {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name}}
	d.Spec.Selector = &metav1.LabelSelector{MatchLabels: selector}
	d.Spec.Template.Labels = labels
	d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "app", Image: "r/app:1"}}
	return d
}

func service(selector map[string]string) corev1.Service {
	return corev1.Service{Spec: corev1.ServiceSpec{Selector: selector}}
}

type set = map[string]string

func TestACanarysLabelsDifferWhereItsServicesAllowIt(t *testing.T) {
	long := strings.Repeat("a", 60)
	for name, test := range map[string]struct {
		stable   *appsv1.Deployment
		services []corev1.Service
		canary   string
		changed  set // labels of the canary's pods that differ from stable's
		shared   bool
	}{
		"one label of the Deployment's own": {stableOf("web", set{"app": "web"}, set{"app": "web", "part": "users"}),
			[]corev1.Service{service(set{"part": "users"}), service(set{"app": "web"})}, "web-canary", set{"app": "web-canary"}, false},
		"no Service":   {stableOf("web", set{"app": "web"}, set{"app": "web"}), nil, "web-canary", set{"app": "web-canary"}, false},
		"a custom one": {stableOf("web", set{"app": "web"}, set{"app": "web"}), nil, "next", set{"app": "next"}, false},
		"a Service of the canary's own": {stableOf("web", set{"app": "web"}, set{"app": "web"}),
			[]corev1.Service{service(set{"app": "web"}), service(set{"app": "web-canary"})}, "web-canary", set{"app": "web-canary"}, false},
		"the Service needs one of two": {stableOf("web", set{"app": "web", "tier": "front"}, set{"app": "web", "tier": "front"}),
			[]corev1.Service{service(set{"app": "web"})}, "web-canary", set{"tier": "front-canary"}, false},
		"the Service needs all": {stableOf("web", set{"app": "web"}, set{"app": "web"}),
			[]corev1.Service{service(set{"app": "web"})}, "web-canary", set{}, true},
		"a name that is too long": {stableOf(long, set{"app": long}, set{"app": long}),
			nil, long + "-canary", set{"app": labelValue(long + "-canary")}, false},
	} {
		own := identityOf(test.stable, test.canary, test.services)
		wanted := set{TrackLabel: "canary"}
		for key, value := range test.stable.Spec.Template.Labels {
			wanted[key] = value
		}
		for key, value := range test.changed {
			wanted[key] = value
			assert.LessOrEqual(t, len(value), 63, name)
		}
		assert.Equal(t, wanted, own.labels, name)
		assert.True(t, matches(own.selector, own.labels), name)
		assert.False(t, matches(own.selector, test.stable.Spec.Template.Labels), "%s: the canary selects stable's pods", name)
		assert.Equal(t, test.shared, matches(test.stable.Spec.Selector, own.labels), name)
		assert.Equal(t, test.shared, own.shared != "", name)
	}
}

func TestTheTemplateIsStablesButForImageAndLabels(t *testing.T) {
	stable := stableOf("web", set{"app": "web"}, set{"app": "web", "part": "users"})
	stable.Spec.Template.Annotations = set{"a": "b"}
	stable.Spec.Template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A", Value: "secret"}}
	stable.Spec.Template.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{
		{LabelSelector: &metav1.LabelSelector{MatchLabels: set{"app": "web", "part": "users"}}},
	}
	template := templateLike(stable, set{"app": "web-canary", "part": "users"}, map[string]string{"app": "r/app:2"})
	assert.Equal(t, "r/app:2", template.Spec.Containers[0].Image)
	assert.Equal(t, stable.Spec.Template.Spec.Containers[0].Env, template.Spec.Containers[0].Env)
	assert.Equal(t, set{"a": "b"}, template.Annotations)
	assert.Equal(t, set{"app": "web-canary", "part": "users"}, template.Spec.TopologySpreadConstraints[0].LabelSelector.MatchLabels)
	assert.Equal(
		t,
		set{"app": "web", "part": "users"},
		stable.Spec.Template.Spec.TopologySpreadConstraints[0].LabelSelector.MatchLabels,
		"stable's is left alone",
	)

	canary := stableOf("web-canary", set{"app": "web-canary"}, set{"app": "web-canary"})
	canary.Spec.Template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A", Value: "other"}, {Name: "B"}}
	wanted := canary.Spec.DeepCopy()
	wanted.Template = template
	found := differences(&canary.Spec, wanted, map[string]string{"app": "r/app:2"})
	assert.Equal(
		t,
		[]string{
			"template.metadata.annotations",
			"template.spec.containers.app.env.A.value",
			"template.spec.containers.app.env.B",
			"template.spec.topologySpreadConstraints",
		},
		found,
	)
}

func TestACanaryThatSelectsStablesPodsIsRefused(t *testing.T) {
	stable := stableOf("web", set{"app": "web"}, set{"app": "web", "part": "users"})
	assert.ErrorContains(
		t,
		distinct(stable, stableOf("c", set{"part": "users"}, set{"part": "users"}), set{"app": "c", "part": "users"}),
		"selects the pods of deployment/web, too",
	)
	assert.NoError(t, distinct(stable, stableOf("c", set{"app": "c"}, set{"app": "c"}), set{"app": "c", "part": "users"}))
}
