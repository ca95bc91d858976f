package rollout

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// changed is a Deployment that was changed to r/app:2, with what deploy-image noted.
func changed(before Before, now int32) *appsv1.Deployment {
	body, _ := json.Marshal(before)
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "app", ResourceVersion: "7", Annotations: map[string]string{BeforeAnnotation: string(body)}},
	}
	d.Spec.Replicas = &now
	d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "app", Image: "r/app:2"}, {Name: "proxy", Image: "envoy:1"}}
	d.Spec.Template.Spec.InitContainers = []corev1.Container{{Name: "migrate", Image: "r/app:2"}}
	return d
}

func TestTheRecordLeadsBackToImagesAndAtLeastTheReplicas(t *testing.T) {
	old := "x"
	before := Before{
		Images:      map[string]string{"app": "r/app:1", "migrate": "r/app:1", "gone": "r/app:1"},
		To:          map[string]string{"app": "r/app:2", "migrate": "r/app:2", "gone": "r/app:2"},
		Replicas:    3,
		Given:       []int32{0, 9},
		Annotations: map[string]*string{"slipway.dev/build": &old, "slipway.dev/plan": nil},
	}
	for name, test := range map[string]struct {
		now  int32
		back any // replicas in the patch, or nil
	}{
		"as they were":                     {3, nil},
		"taken to none":                    {0, 3.0},
		"fewer by somebody else":           {2, 3.0},
		"more, as the change asked for":    {9, 3.0},
		"more, as somebody else asked for": {5, nil},
	} {
		deployment := changed(before, test.now)
		read, err := ReadBefore(deployment)
		require.NoError(t, err)
		body, err := read.back(deployment)
		require.NoError(t, err)
		var patch struct {
			Metadata struct {
				ResourceVersion string
				Annotations     map[string]*string
			}
			Spec map[string]any
		}
		require.NoError(t, json.Unmarshal(body, &patch))
		assert.Equal(t, test.back, patch.Spec["replicas"], name)
		assert.Equal(t, map[string]any{"spec": map[string]any{
			"containers": []any{
				map[string]any{"name": "app", "image": "r/app:1"},
			}, "initContainers": []any{map[string]any{"name": "migrate", "image": "r/app:1"}},
		}}, patch.Spec["template"], "%s: no other container, and none that is gone", name)
		assert.Equal(t, "7", patch.Metadata.ResourceVersion)
		assert.Equal(t, "x", *patch.Metadata.Annotations["slipway.dev/build"])
		value, removed := patch.Metadata.Annotations["slipway.dev/plan"]
		assert.True(t, removed && value == nil, "what was not there before goes")
		assert.Contains(t, *patch.Metadata.Annotations[BeforeAnnotation], `"undone":true`)
	}
}

func TestTheRecordDecidesOnlyAboutItsOwnChange(t *testing.T) {
	before := Before{Images: map[string]string{"app": "r/app:1"}, To: map[string]string{"app": "r/app:2"}, Replicas: 3}
	undone := before
	undone.Undone = true
	for name, test := range map[string]struct {
		before  Before
		image   string // what the Deployment has
		leaving Leaving
		decided bool
		patched bool
	}{
		"the change stands":                            {before, "r/app:2", Leaving{}, true, true},
		"and is the one that is to be undone":          {before, "r/app:2", Leaving{Image: "r/app:2"}, true, true},
		"another one is to be undone":                  {before, "r/app:2", Leaving{Image: "r/app:3"}, false, false},
		"somebody changed it since":                    {before, "r/app:3", Leaving{}, false, false},
		"undone already":                               {undone, "r/app:1", Leaving{Image: "r/app:2"}, true, false},
		"undone already, by whoever":                   {undone, "r/app:1", Leaving{}, true, false},
		"undone, and changed by somebody since":        {undone, "r/app:3", Leaving{Image: "r/app:2"}, false, false},
		"undone, and changed by hand to the same":      {undone, "r/app:2", Leaving{Image: "r/app:2"}, false, false},
		"a revision that is not the present one fails": {before, "r/app:2", Leaving{Revision: "x"}, false, false},
	} {
		deployment := changed(test.before, 3)
		deployment.Spec.Template.Spec.Containers[0].Image = test.image
		_, patch, decided, err := byRecord(Objects{Deployment: deployment}, &test.before, test.leaving)
		require.NoError(t, err, name)
		assert.Equal(t, test.decided, decided, name)
		assert.Equal(t, test.patched, patch != nil, name)
	}
	deployment := changed(before, 3)
	deployment.Annotations[BeforeAnnotation] = "broken"
	_, err := ReadBefore(deployment)
	assert.ErrorContains(t, err, "cannot be read")
}
