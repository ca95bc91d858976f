package cli

import (
	"fmt"
	"runtime/debug"
)

// Set by the linker: -X slipway.dev/slipway/helpers/internal/cli.version=1.2.3 and so on.
var version, commit, date string

// Build says which build of the helpers this is.
type Build struct {
	Version string // the release, "development" outside of one
	Commit  string // the Git commit it was built from, "unknown" where nobody said
	Date    string // when it was built, RFC 3339, "unknown" where nobody said
}

func (b Build) String() string {
	return fmt.Sprintf("%s (commit %s, built %s)", b.Version, b.Commit, b.Date)
}

// Version tells which build of the helpers this is.
func Version() Build {
	build := Build{Version: version, Commit: commit, Date: date}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			switch {
			case setting.Key == "vcs.revision" && build.Commit == "":
				build.Commit = setting.Value
			case setting.Key == "vcs.time" && build.Date == "":
				build.Date = setting.Value
			}
		}
	}
	for field, value := range map[*string]string{&build.Version: "development", &build.Commit: "unknown", &build.Date: "unknown"} {
		if *field == "" {
			*field = value
		}
	}
	return build
}
