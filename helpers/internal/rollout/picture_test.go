package rollout

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestThePictureShowsOldAndNewPods(t *testing.T) {
	w := rollingOut().status(2, 3, 4).pod("new", "pod-a").pod("new", "pod-b", waitsFor("ImagePullBackOff", "not found", 0)).pod("old", "pod-o")
	verdict := w.judge(0)
	lines := drawing(verdict, w.Objects)
	assert.Equal(t, []string{
		"deployment/app: 2 of 3 pods are new (new 2, available 2, of 3)",
		"  new  ●✗  1 ImagePullBackOff, 1 ready",
		"  old  ●  1 ready",
		"  !    IMAGE_NOT_FOUND: the registry does not have the image r/app:2",
	}, lines)
}
