package rollout

import (
	"testing"

	"github.com/stretchr/testify/assert"
	appsv1 "k8s.io/api/apps/v1"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// The Deployment of rollingOut has the revision "new" now; "old" is still there.
func TestTheWayBack(t *testing.T) {
	const present = "r/app@sha256:new"
	note := func(good, last string) func(*world) {
		return func(w *world) {
			w.Deployment.Annotations = map[string]string{GoodAnnotation: good, LastGoodAnnotation: last}
		}
	}
	for name, test := range map[string]struct {
		change  func(*world)
		leaving Leaving
		back    string // the ReplicaSet; empty where nothing is to be done
		code    int
		says    string
	}{
		"the last mark":                     {note("old", ""), Leaving{}, "old", 0, ""},
		"the failed one, to the last mark":  {note("old", ""), Leaving{Revision: "new"}, "old", 0, ""},
		"a good one, to the one before it":  {note("new", `{"hash":"old"}`), Leaving{}, "old", 0, ""},
		"only its own image":                {note("old", ""), Leaving{Image: present}, "old", 0, ""},
		"it was good before, and fails now": {note("new", `{"hash":"old"}`), Leaving{Revision: "new"}, "", 0, ""},
		"back already":                      {note("new", `{"hash":"new"}`), Leaving{}, "", 0, ""},
		"back already, from that image":     {note("new", `{"hash":"new"}`), Leaving{Image: "r/app@sha256:bad"}, "", 0, ""},
		"somebody's image, marked meanwhile": {note("new", `{"hash":"old"}`), Leaving{Image: "r/app@sha256:bad"}, "", slipway.Conflict,
			"is left alone"},
		"somebody's image, not marked":  {note("old", ""), Leaving{Image: "r/app@sha256:bad"}, "", slipway.Conflict, "is left alone"},
		"somebody's image, and no mark": {func(*world) {}, Leaving{Image: "r/app@sha256:bad"}, "", slipway.Conflict, "is left alone"},
		"somebody's revision":           {note("old", ""), Leaving{Revision: "bad"}, "", slipway.Conflict, "changed by another client"},
		"no mark":                       {func(*world) {}, Leaving{}, "", slipway.No, "does not say which"},
		"a note that is not ours":       {note("", "yes"), Leaving{}, "", slipway.No, "does not say which"},
		"a mark whose ReplicaSet is gone": {note("gone", `{"hash":"gone","image":"r/app@sha256:gone"}`), Leaving{}, "", slipway.No,
			"--image r/app@sha256:gone"},
		"an older note beside it": {note("gone", `{"hash":"old","image":"r/app@sha256:old"}`), Leaving{}, "", slipway.No,
			"--image REPOSITORY:TAG@sha256"},
		"a mark copied from another cluster": {func(w *world) { note("old", "")(w); w.ReplicaSets[0].OwnerReferences = controlledBy("another") },
			Leaving{}, "", slipway.No, "is gone"},
		"paused": {func(w *world) { note("old", "")(w); w.Deployment.Spec.Paused = true }, Leaving{}, "", slipway.No,
			"is paused"},
		"paused, and back already": {func(w *world) { note("new", `{"hash":"new"}`)(w); w.Deployment.Spec.Paused = true }, Leaving{},
			"", 0, ""},
	} {
		w := rollingOut()
		test.change(w)
		good, now, err := wayBack(w.Objects, test.leaving)
		if test.code != 0 {
			if assert.Error(t, err, name) {
				assert.Equal(t, test.code, slipway.AsError(err).Code, name)
				assert.Contains(t, slipway.AsError(err).Error(), test.says, name)
			}
			continue
		}
		if !assert.NoError(t, err, name) {
			continue
		}
		assert.Equal(t, "new", now, name)
		found := ""
		if good != nil {
			found = good.Name
		}
		assert.Equal(t, test.back, found, name)
	}
}

func TestTheMarkedRevisionIsKnownByItsNumber(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*appsv1.Deployment)
		marked bool
	}{
		"as it was marked":                 {func(*appsv1.Deployment) {}, true},
		"scaled since":                     {func(d *appsv1.Deployment) { d.Generation, d.Status.ObservedGeneration = 9, 9 }, true},
		"another revision":                 {func(d *appsv1.Deployment) { d.Annotations[revisionAnnotation] = "4" }, false},
		"a change that nobody has seen":    {func(d *appsv1.Deployment) { d.Generation++ }, false},
		"paused, where none is counted":    {func(d *appsv1.Deployment) { d.Spec.Paused = true }, false},
		"a mark by hand":                   {func(d *appsv1.Deployment) { d.Annotations[GoodAnnotation] = "other" }, false},
		"a mark of before there were both": {func(d *appsv1.Deployment) { delete(d.Annotations, GoodRevisionAnnotation) }, false},
		"a controller that counts nothing": {func(d *appsv1.Deployment) { d.Annotations[revisionAnnotation] = "" }, false},
	} {
		d := rollingOut().Deployment
		d.Annotations = map[string]string{GoodAnnotation: "new", GoodRevisionAnnotation: "new/3", revisionAnnotation: "3"}
		test.change(d)
		assert.Equal(t, test.marked, IsMarked(d), name)
	}
}
