// Package policy is a site's policy for production: what it asks of a release, read from one YAML file, and decided
// without looking at anything else.
package policy

import "time"

// What an approval is for.
const (
	Migration = "migration"
	Promotion = "promotion"
	Override  = "override" // of a closed window
)

// The two values of breaking and privilegedSql.
const (
	Refuse  = "refuse"
	Approve = "approve"
)

// Policy is the document. What it does not say is not asked for.
type Policy struct {
	Production Production
}

// Production is what production asks for.
type Production struct {
	Approvals     map[string]Rule     // by Migration and Promotion
	People        map[string][]string // addresses of commits, by user id in small letters
	Groups        map[string][]string // user ids, by the group's name
	Windows       []Window
	Override      *Rule // nil: a closed window cannot be overridden
	Evidence      Evidence
	Canary        Canary
	Breaking      string // Refuse, Approve or empty
	PrivilegedSQL string // Refuse, Approve or empty
}

// Rule is how many people must approve, and which.
type Rule struct {
	Required   int
	From       []string // user ids and groups; empty: the people whom the job's permissions allow
	NotAuthors bool
	NotStarter bool
}

// Evidence is what the registry must state about an image.
type Evidence struct {
	Require    []string
	Keys       []string // files beside the policy
	ScanMaxAge time.Duration
}

// Canary is the least that a canary must be tried with.
type Canary struct {
	MinWeight   int
	MinDuration time.Duration
	MinRequests int
}
