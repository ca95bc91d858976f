// Package metrics is the command metrics, which measures delivery of the records of the pipelines.
package metrics

import (
	"time"
	_ "time/tzdata" // an agent's image may have no time zones

	"github.com/urfave/cli/v2"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/metrics"
	"slipway.dev/slipway/helpers/internal/record"
)

// App is the command metrics.
func App() *cli.App {
	return &cli.App{
		Name:  "metrics",
		Usage: "measure delivery by the records: deployment frequency, lead time, change failure rate, time to restore",
		Description: `RECORDS are files slipway-record.json, or folders in which they are at any depth. Give those of staging, too: the lead
time begins there. What is counted how: docs/status.md.

Examples:
   slipway metrics /var/lib/jenkins/jobs
   slipway metrics --from 2026-10-01 --to 2026-11-01 --zone Europe/Berlin --output json records/
   slipway metrics --output prometheus /var/lib/jenkins/jobs > /var/lib/node_exporter/slipway.prom

Exit codes: 0 it is measured, also where there was no run; 2 wrong usage, or a record that cannot be read.`,
		ArgsUsage: "RECORDS...",
		Metadata:  map[string]any{slipway.Formats: []string{"prometheus"}},
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "from",
				Usage: "the `DAY` (2026-10-01) or the time (RFC 3339) at which the period begins; without it --days before its end"},
			&cli.StringFlag{Name: "to", Usage: "the `DAY` or the time before which it ends; a day is not part of it; without it now"},
			&cli.IntFlag{Name: "days", Value: 30, Usage: "how many `DAYS` the period has, where --from is not given"},
			&cli.StringFlag{Name: "zone", Value: "UTC", EnvVars: []string{"SLIPWAY_ZONE"}, Usage: "the time `ZONE` of days, such as Europe/Berlin"},
		},
		Action: run,
	}
}

func run(c *cli.Context) error {
	if c.NArg() == 0 {
		return slipway.Usagef("metrics needs RECORDS: files slipway-record.json, or folders with them").
			Next("slipway metrics /var/lib/jenkins/jobs")
	}
	period, err := periodOf(c.String("from"), c.String("to"), c.String("zone"), c.Int("days"), time.Now())
	if err != nil {
		return err
	}
	records, err := record.Load(c.Args().Slice())
	if err != nil {
		return err
	}
	return slipway.Finish(c, metrics.Of(records, period), nil)
}

func periodOf(from, to, zone string, days int, now time.Time) (metrics.Period, error) {
	p := metrics.Period{To: now.Truncate(time.Second)}
	var err error
	if p.Zone, err = time.LoadLocation(zone); err != nil {
		return p, slipway.Usagef("--zone %q is no time zone", zone).Because(err).Next("give a name such as Europe/Berlin")
	}
	if to != "" {
		if p.To, err = at("to", to, p.Zone); err != nil {
			return p, err
		}
	}
	if p.From = p.To.AddDate(0, 0, -days); from != "" {
		if p.From, err = at("from", from, p.Zone); err != nil {
			return p, err
		}
	}
	if !p.From.Before(p.To) {
		const order = "the period ends at %s, which is not after its beginning at %s"
		return p, slipway.Usagef(order, p.To.Format(time.RFC3339), p.From.Format(time.RFC3339))
	}
	return p, nil
}

// at is a time, or the beginning of a day in the zone.
func at(flag, text string, zone *time.Location) (time.Time, error) {
	if day, err := time.ParseInLocation(time.DateOnly, text, zone); err == nil {
		return day, nil
	}
	found, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return found, slipway.Usagef("--%s %q is neither a day (2026-10-01) nor a time (2026-10-01T08:00:00+02:00)", flag, text)
	}
	return found, nil
}
