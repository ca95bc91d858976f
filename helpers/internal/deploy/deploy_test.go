package deploy

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

func TestOnlyTheImagesRegistryIsTakenFromTheLogins(t *testing.T) {
	docker := []byte(`{"auths":{"nexus.example:8083":{"auth":"YTpi"},"https://hub.example":{"auth":"Yzpk"}},"credsStore":"x"}`)
	host, entry, err := login(docker, "nexus.example:8083/app:1@sha256:0")
	require.NoError(t, err)
	assert.Equal(t, "nexus.example:8083", host)
	assert.JSONEq(t, `{"auth":"YTpi"}`, string(entry))
	_, entry, err = login(docker, "hub.example/app:1")
	require.NoError(t, err)
	assert.JSONEq(t, `{"auth":"Yzpk"}`, string(entry))
	for name, body := range map[string]string{"no login for it": `{"auths":{}}`, "no JSON": `password`} {
		_, _, err := login([]byte(body), "nexus.example:8083/app:1")
		require.Error(t, err, name)
		assert.Equal(t, slipway.Usage, slipway.AsError(err).Code, name)
		assert.NotContains(t, err.Error(), "password", name)
	}
}

func TestTheSecretsOtherLoginsStay(t *testing.T) {
	entry := json.RawMessage(`{"auth":"YTpi"}`)
	for name, test := range map[string]struct {
		present, want string
		changed       bool
	}{
		"none yet":    {"", `{"auths":{"r":{"auth":"YTpi"}}}`, true},
		"another":     {`{"auths":{"o":{"auth":"x"}}}`, `{"auths":{"o":{"auth":"x"},"r":{"auth":"YTpi"}}}`, true},
		"another one": {`{"auths":{"r":{"auth":"old"}}}`, `{"auths":{"r":{"auth":"YTpi"}}}`, true},
		"the same":    {`{"auths":{"r": {"auth": "YTpi"}}}`, `{"auths":{"r":{"auth":"YTpi"}}}`, false},
	} {
		merged, changed, err := merge([]byte(test.present), "r", entry)
		require.NoError(t, err, name)
		assert.Equal(t, test.changed, changed, name)
		assert.JSONEq(t, test.want, string(merged), name)
	}
	_, _, err := merge([]byte("broken"), "r", entry)
	require.Error(t, err)
}

func TestThePatchIsExactlyWhatIsAskedFor(t *testing.T) {
	current := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "7"}}
	current.Spec.Template.Spec.Containers = []corev1.Container{{Name: "app", Image: "r/app:1"}, {Name: "proxy"}}
	to := map[string]string{"app": "r/app:2@sha256:1"}
	body, err := json.Marshal(patchOf(current, to, nil, map[string]string{"a": "b"}))
	require.NoError(t, err)
	assert.JSONEq(
		t,
		`{"metadata":{"resourceVersion":"7","annotations":{"a":"b"}},
		"spec":{"template":{"spec":{"containers":[{"name":"app","image":"r/app:2@sha256:1"}]}}}}`,
		string(body),
	)
	two := int32(2)
	body, err = json.Marshal(patchOf(current, to, &two, nil))
	require.NoError(t, err)
	assert.Contains(t, string(body), `"replicas":2`)
}

func TestTheContainerIsFoundOrTheOthersAreNamed(t *testing.T) {
	several := []corev1.Container{{Name: "proxy"}, {Name: "app"}}
	index, err := containerIndex(several, "app")
	require.NoError(t, err)
	assert.Equal(t, 1, index)
	index, err = containerIndex(several[:1], "")
	require.NoError(t, err)
	assert.Zero(t, index)
	for _, name := range []string{"", "none"} {
		_, err = containerIndex(several, name)
		assert.ErrorContains(t, err, "app, proxy")
	}
}

func TestWhatIsDeployedNamesItsDigest(t *testing.T) {
	for image, good := range map[string]bool{
		"r/app:1@sha256:0000000000000000000000000000000000000000000000000000000000000000": true,
		"r/app:1": false, "r/app@sha256:00": false, "": false,
	} {
		assert.Equal(t, good, pinned.MatchString(image), image)
	}
}
