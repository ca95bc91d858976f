package phase

import "github.com/urfave/cli/v2"

// approvedBy is what was approved and by whom.
func approvedBy(*cli.Context) (hash string, by []string, err error) { return "", nil, nil }
