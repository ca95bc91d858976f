package canary

import (
	"context"
	"encoding/json"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
)

// JournalAnnotation is on the canary's Deployment while there is something to undo.
const JournalAnnotation = "slipway.dev/canary"

// Journal says how to undo, and until when the canary may stay. It is written
// before the first change, and it is gone with the last step of the undoing.
type Journal struct {
	Run       string    `json:"run"`    // who began: a build's URL, or a person at a host
	Set       string    `json:"set"`    // one call of set, at random
	Weight    int       `json:"weight"` // asked for, in percent
	StartedAt time.Time `json:"startedAt"`
	ExpiresAt time.Time `json:"expiresAt"`
	Route     Route     `json:"route"`
	Previous  State     `json:"previous"`
	Given     []int32   `json:"given,omitempty"`   // replicas that stable was told to have: others are somebody else's wish
	Undoing   bool      `json:"undoing,omitempty"` // from here on only back
}

// Route is where the share is given, so that undoing needs to look for nothing.
type Route struct {
	Router  string `json:"router"`
	Service string `json:"service,omitempty"` // whose endpoints tell the truth
	Name    string `json:"name,omitempty"`    // of the HTTPRoute, TraefikService, VirtualService or Ingress
	Stable  string `json:"stable,omitempty"`  // stable's own Service
	Canary  string `json:"canary,omitempty"`  // canary's own Service
}

// State is what set changes.
type State struct {
	Stable      int32             `json:"stable"` // replicas
	Canary      int32             `json:"canary"` // replicas
	Weights     []Weight          `json:"weights,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"` // of an Ingress
}

// Weight is what one rule of a route gives to each version.
type Weight struct {
	Rule   int `json:"rule"`
	Stable int `json:"stable"`
	Canary int `json:"canary"`
}

// ReadJournal gives what the Deployment of a canary says; nil where there is nothing to undo.
func ReadJournal(annotations map[string]string) (*Journal, error) {
	body, found := annotations[JournalAnnotation]
	if !found {
		return nil, nil
	}
	var journal Journal
	if err := json.Unmarshal([]byte(body), &journal); err != nil {
		return nil, slipway.Errorf(slipway.Conflict, "the annotation %s cannot be read, so that nobody knows what to undo", JournalAnnotation).
			Because(err).
			Next("set the canary's and stable's replicas and the route's weights by hand, then remove the annotation")
	}
	return &journal, nil
}

// writeJournal writes it on exactly the Deployment that was read, and closes
// the way for everyone who still goes by an older one. A conflict is given as it is.
func (t *Traffic) writeJournal(ctx context.Context, journal *Journal) error {
	body, err := json.Marshal(journal)
	if err != nil {
		return err
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"resourceVersion": t.canary.ResourceVersion,
		"annotations":     map[string]any{JournalAnnotation: string(body)},
	}})
	if err != nil {
		return err
	}
	var changed *appsv1.Deployment
	err = t.write(ctx, func(ctx context.Context) error {
		changed, err = t.cluster.Apps().
			Deployments(t.cluster.Namespace).
			Patch(ctx, t.names.Canary, types.MergePatchType, patch, metav1.PatchOptions{})
		return err
	})
	if err != nil {
		return err
	}
	t.canary, t.fence = changed, string(body)
	return nil
}

func (t *Traffic) writingJournal(err error) error {
	return kube.Explain(err, "writing down how to undo, on deployment/"+t.names.Canary)
}
