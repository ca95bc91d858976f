// Package status says what runs where: by the annotations of Deployments, the canary's journal, the list of approved images, the
// site's waivers and, where they are given, the records of the pipelines.
package status

import "time"

// Status is what was true at one time.
type Status struct {
	At        time.Time `json:"at"`
	Namespace string    `json:"namespace"` // empty: all
	Apps      []App     `json:"apps"`
	Waivers   []Waiver  `json:"waivers"`
	Findings  []Finding `json:"findings"`
	Others    int       `json:"others"` // Deployments that Slipway did not deliver
	Unread    []string  `json:"unread"` // what could not be read, and why
}

// App is one Deployment that Slipway delivered.
type App struct {
	Namespace   string    `json:"namespace"`
	Deployment  string    `json:"deployment"`
	Guard       string    `json:"guard"` // enforce, warn, or empty
	Image       string    `json:"image"` // of the container that was delivered
	Since       time.Time `json:"since"`
	State       State     `json:"state"`
	Build       string    `json:"build"`
	Commit      string    `json:"commit"`
	Plan        string    `json:"plan"`
	ApprovedBy  string    `json:"approvedBy"`
	ApprovedFor string    `json:"approvedFor"` // promotion, staging, canary, by hand; empty where the annotation alone says who
	MigratedBy  string    `json:"migrationApprovedBy"`
	Replicas    int32     `json:"replicas"`
	Updated     int32     `json:"updated"`   // pods of the present revision
	Available   int32     `json:"available"` // pods that are available
	Before      string    `json:"before"`    // the image that an undoing goes back to
	Canary      *Canary   `json:"canary"`
	LastRun     *Run      `json:"lastRun"` // of the records
	Waived      []string  `json:"waived"`  // findings of its scan that are waived, of the records
}

// State says whether what runs is what Slipway put there.
type State string

// The states of a Deployment.
const (
	Delivered State = "delivered"   // it has what the last delivery put there
	Undone    State = "rolled back" // it has what the last delivery replaced
	Changed   State = "changed"     // it has something else
	NotKnown  State = "not known"   // nothing says what was put there
)

// Canary is one that stands.
type Canary struct {
	Deployment string    `json:"deployment"`
	Image      string    `json:"image"`
	Weight     int       `json:"weight"` // percent that was asked for
	Router     string    `json:"router"`
	Run        string    `json:"run"`
	StartedAt  time.Time `json:"startedAt"`
	ExpiresAt  time.Time `json:"expiresAt"`
	Undoing    bool      `json:"undoing"`
	Overdue    bool      `json:"overdue"`
	Replicas   int32     `json:"replicas"`
	Available  int32     `json:"available"`
}

// Run is the newest record of a service and a pipeline.
type Run struct {
	Pipeline string    `json:"pipeline"`
	Build    string    `json:"build"`
	Outcome  string    `json:"outcome"`
	Why      string    `json:"why"`
	Ended    time.Time `json:"ended"`
}

// Waiver is one of the site's.
type Waiver struct {
	Namespace string `json:"namespace"` // of the ConfigMap
	ID        string `json:"id"`
	Package   string `json:"package"`
	Owner     string `json:"owner"`
	Reason    string `json:"reason"`
	Until     string `json:"until"` // the last day, 2027-01-31
	Days      int    `json:"days"`  // that are left; negative: it has ended
}

// Finding is what a person has to look at.
type Finding struct {
	Kind      Kind   `json:"kind"`
	Namespace string `json:"namespace"`
	Object    string `json:"object"`
	What      string `json:"what"`
	Next      string `json:"next"` // a command, or what to do
}

// Kind of a finding.
type Kind string

// The kinds, in the order in which they are shown.
const (
	BreakGlass  Kind = "break-glass"  // somebody went past the guard, and nobody has acknowledged it
	Drift       Kind = "drift"        // what is live is not what was recorded
	Unapproved  Kind = "not-approved" // a guarded namespace runs an image that its list does not have
	CanaryStays Kind = "canary"       // one that is past its time, or that nothing takes back
	NotReadable Kind = "not-readable" // an annotation, a list or a file of waivers that is broken
	Pods        Kind = "pods"         // fewer pods are available than are asked for
	WaiverEnds  Kind = "waiver"       // one that has ended, or ends within a week
)

var order = []Kind{BreakGlass, Drift, Unapproved, CanaryStays, NotReadable, Pods, WaiverEnds}
