package deploy

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"slipway.dev/slipway/helpers/internal/approved"
	"slipway.dev/slipway/helpers/internal/kube"
)

func kind(name, version string) metav1.TypeMeta {
	return metav1.TypeMeta{Kind: name, APIVersion: version}
}

// server answers with these objects by path and notes what it is asked.
func server(t *testing.T, objects map[string]any) (cluster *kube.Cluster, asked *[]string) {
	asked = &[]string{}
	answering := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path[strings.LastIndex(r.URL.Path, "/namespaces/prod/")+len("/namespaces/prod/"):]
		line := r.Method + " " + path
		if r.URL.Query().Has("dryRun") {
			line += " dry"
		}
		*asked = append(*asked, line)
		w.Header().Set("Content-Type", "application/json")
		object, found := objects[path]
		if !found && r.Method == http.MethodGet {
			w.WriteHeader(http.StatusNotFound)
			object = metav1.Status{TypeMeta: kind("Status", "v1"), Status: "Failure", Reason: metav1.StatusReasonNotFound, Code: http.StatusNotFound}
		}
		if !found && r.Method == http.MethodPost {
			object = corev1.Event{TypeMeta: kind("Event", "v1")}
		}
		assert.NoError(t, json.NewEncoder(w).Encode(object))
	}))
	t.Cleanup(answering.Close)
	cluster, err := kube.New(&rest.Config{Host: answering.URL}, "prod", "test")
	require.NoError(t, err)
	return cluster, asked
}

func TestHowOftenTheAPIServerIsAsked(t *testing.T) {
	digest := strings.Repeat("1", 64)
	image := "r.example/app:2@sha256:" + digest
	deployed := func(annotations map[string]string, secrets ...corev1.LocalObjectReference) *appsv1.Deployment {
		d := &appsv1.Deployment{TypeMeta: kind("Deployment", "apps/v1"),
			ObjectMeta: metav1.ObjectMeta{Name: "app", Namespace: "prod", UID: "d", Generation: 1, ResourceVersion: "7", Annotations: annotations}}
		d.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "app"}}
		d.Spec.Template.Spec = corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "r.example/app:1"}}, ImagePullSecrets: secrets}
		d.Status = appsv1.DeploymentStatus{ObservedGeneration: 1, ReadyReplicas: 1}
		return d
	}
	pull := corev1.LocalObjectReference{Name: "pull"}
	marked := map[string]string{"slipway.dev/good": "abc", "slipway.dev/good-revision": "abc/3", "deployment.kubernetes.io/revision": "3"}
	since := maps.Clone(marked)
	since["deployment.kubernetes.io/revision"] = "4"
	secret := func(auth string) *corev1.Secret {
		logins := map[string][]byte{corev1.DockerConfigJsonKey: []byte(`{"auths":{"r.example":{"auth":"` + auth + `"}}}`)}
		return &corev1.Secret{TypeMeta: kind("Secret", "v1"), ObjectMeta: metav1.ObjectMeta{Name: "pull"},
			Type: corev1.SecretTypeDockerConfigJson, Data: logins}
	}
	account := &corev1.ServiceAccount{TypeMeta: kind("ServiceAccount", "v1"), ImagePullSecrets: []corev1.LocalObjectReference{pull}}
	sets := &appsv1.ReplicaSetList{TypeMeta: kind("ReplicaSetList", "apps/v1")}
	list := "GET configmaps/" + approved.Name
	const read, login, change, tells = "GET deployments/app", "GET secrets/pull", "PATCH deployments/app", "POST events"
	for name, test := range map[string]struct {
		deployment *appsv1.Deployment
		secret     *corev1.Secret // with one its login is given, too
		asked      []string
	}{
		"a revision that is marked":       {deployed(marked), nil, []string{read, list, change, tells}},
		"one that served and has no mark": {deployed(nil), nil, []string{read, list, change, tells}},
		"another than the one marked":     {deployed(since), nil, []string{read, "GET replicasets", list, change, tells}},
		"with a login that is there":      {deployed(marked, pull), secret("YTpi"), []string{read, list, login, change, tells}},
		"whose Secret the account names": {deployed(marked), secret("YTpi"),
			[]string{read, "GET serviceaccounts/default", list, login, change, tells}},
		"with a login that has changed": {deployed(marked, pull), secret("b2xk"),
			[]string{read, list, login, change + " dry", "PATCH secrets/pull", change, tells}},
	} {
		objects := map[string]any{"deployments/app": test.deployment, "replicasets": sets, "serviceaccounts/default": account}
		options := Options{Name: "app", Image: image, Approval: &approved.Entry{What: "by hand"}}
		if test.secret != nil {
			objects["secrets/pull"], options.PullSecret = test.secret, "pull"
			options.Docker = []byte(`{"auths":{"r.example":{"auth":"YTpi"}}}`)
		}
		cluster, asked := server(t, objects)
		outcome, err := Deploy(t.Context(), cluster, options)
		require.NoError(t, err, name)
		assert.True(t, outcome.Changed, name)
		assert.Equal(t, test.asked, *asked, name)
	}
}
