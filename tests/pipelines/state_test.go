package pipelines

import "strings"

// state is what a cluster would be like after these calls, as the helpers' own tests
// prove that they leave it.
type state struct {
	canary    string // none, open, back
	stable    string // before, changed, good, back
	migration string // none, begun, applied
}

func after(calls []call) state {
	s := state{canary: "none", stable: "before", migration: "none"}
	for _, c := range calls {
		ended := c.What == "ended" && c.Exit == 0
		switch {
		case c.Key == "phase canary" && c.What == "began":
			s.canary = "open" // the journal stands from the first moment on
		case (c.Key == "phase promote" || c.Key == "phase deploy") && c.What == "began":
			s.stable = "changed"
		case (c.Key == "phase promote" || c.Key == "phase deploy") && ended:
			s.stable = "good"
		case strings.HasPrefix(c.Key, "phase undo") && ended:
			if strings.Contains(c.Key, "stable") && s.stable != "before" {
				s.stable = "back"
			}
			if strings.Contains(c.Key, "canary") && s.canary == "open" {
				s.canary = "back"
			}
		case (c.Key == "migrate-diff apply" || c.Key == "phase migrate") && c.What == "began":
			s.migration = "begun"
		case (c.Key == "migrate-diff apply" || c.Key == "phase migrate") && ended:
			s.migration = "applied"
		}
	}
	return s
}

// acceptable says in a word how it ended, and whether its owner would accept it. What
// is left open is taken back by the reaper where the controller is gone for good.
func (s state) acceptable(gone bool) (string, bool) {
	switch {
	case s.stable == "changed" && gone:
		return "promotion goes on in the cluster; reaper", true
	case s.stable == "changed":
		return "stable half promoted", false
	case s.canary == "open" && gone:
		return "reaper", true
	case s.canary == "open":
		return "canary left open", false
	case s.stable == "good":
		return "promoted", true
	case s.stable == "back":
		return "stable back", true
	case s.canary == "back":
		return "canary back", true
	default:
		return "untouched", true
	}
}
