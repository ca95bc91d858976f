package cli

import (
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/urfave/cli/v2"
)

func TestAnEmptyVariableIsNotSet(t *testing.T) {
	t.Setenv("EMPTY", "")
	t.Setenv("SECOND", "second")
	seen := map[string]any{}
	app := &cli.App{Name: "app", Writer: io.Discard, ErrWriter: io.Discard, Commands: []*cli.Command{{
		Name: "do",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "text", Value: "default", EnvVars: []string{"EMPTY"}},
			&cli.StringFlag{Name: "either", EnvVars: []string{"EMPTY", "SECOND"}},
			&cli.BoolFlag{Name: "flag", Value: true, EnvVars: []string{"EMPTY"}},
			&cli.StringSliceFlag{Name: "list", EnvVars: []string{"EMPTY"}},
		},
		Action: func(c *cli.Context) error {
			seen["text"], seen["either"], seen["flag"] = c.String("text"), c.String("either"), c.Bool("flag")
			seen["list"], seen["set"] = len(c.StringSlice("list")), c.IsSet("text")
			return nil
		},
	}}}
	assert.Equal(t, Done, Execute(context.Background(), app, []string{"app", "do"}))
	assert.Equal(t, map[string]any{"text": "default", "either": "second", "flag": true, "list": 0, "set": false}, seen)
}
