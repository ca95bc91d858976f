// Package story is what the demo shows: four releases, and what must be true after each.
package story

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"slipway.dev/slipway/tests/e2e/site"
)

// teller tells the story of one site.
type teller struct {
	site    *site.Site
	answer  string
	whole   bool // the consoles are shown as Jenkins writes them
	out     io.Writer
	traffic *site.Traffic
	canary  *window // the answers of the last run, while its canary was judged
	rows    []row
	failed  []string
}

// row is a run's line in the table at the end.
type row struct {
	release, pipeline, outcome, stage string
	run                               site.Run
	prod                              string
	failures                          int
}

// Tell runs the releases one after the other. Its error names every check that did not hold.
func Tell(ctx context.Context, s *site.Site, answer string, whole bool, out io.Writer) error {
	t := &teller{site: s, answer: answer, whole: whole, out: out}
	if err := t.addUser(ctx); err != nil {
		return err
	}
	var err error
	if t.traffic, err = site.StartTraffic(ctx, site.App+".prod.svc.cluster.local", "/users?limit=5", 40); err != nil {
		return err
	}
	defer t.traffic.Stop()
	for _, release := range []func(context.Context) error{t.healthy, t.broken, t.vulnerable, t.refused} {
		if err := release(ctx); err != nil {
			return err
		}
	}
	t.table()
	if len(t.failed) > 0 {
		return fmt.Errorf("%d checks did not hold:\n  %s", len(t.failed), strings.Join(t.failed, "\n  "))
	}
	return nil
}

func (t *teller) title(format string, arguments ...any) {
	fmt.Fprintf(t.out, "\n=== "+format+"\n\n", arguments...)
}

// check says whether something that must be true is.
func (t *teller) check(holds bool, format string, arguments ...any) {
	sentence := fmt.Sprintf(format, arguments...)
	mark := "ok  "
	if !holds {
		mark = "FAIL"
		t.failed = append(t.failed, sentence)
	}
	fmt.Fprintf(t.out, "  %s %s\n", mark, sentence)
}

// analysis is how long each canary is judged: time that a site asks for, and no cost of the pipeline.
const analysis = 16 * time.Second

// run runs a pipeline and notes its row.
func (t *teller) run(ctx context.Context, release, jenkinsfile string, answers ...string) (site.Run, site.Counts, error) {
	console, done := t.console(answers)
	defer done()
	t.canary = &window{out: console, traffic: t.traffic, from: " failed, stable ", until: "(Promote to Production)"}
	pipeline := site.Pipeline{Jenkinsfile: jenkinsfile, Answers: answers, Out: t.canary, Settings: map[string]string{
		"SLIPWAY_PROMETHEUS_URL": "http://prometheus.lab:9090", "SLIPWAY_ANALYSIS_DURATION": analysis.String(),
		"SLIPWAY_ANALYSIS_INTERVAL": "4s", "SLIPWAY_ANALYSIS_MIN_REQUESTS": "20",
		"SLIPWAY_QUARANTINE": t.site.Registry + "/quarantine", "SLIPWAY_QUARANTINE_CREDENTIALS_ID": "QUARANTINE",
	}}
	t.traffic.Reset()
	var run site.Run
	var err error
	if asks(answers) {
		run, err = t.site.AtTerminal(ctx, pipeline)
	} else {
		run, err = t.site.Run(ctx, pipeline)
	}
	if err != nil {
		return run, site.Counts{}, err
	}
	counts := t.traffic.Reset()
	image, err := t.image(ctx, "prod", site.App)
	if err != nil {
		return run, counts, err
	}
	name := map[string]string{"Jenkinsfile": "staging", "Jenkinsfile.prod": "production"}[jenkinsfile]
	t.rows = append(t.rows,
		row{release: release, pipeline: name, outcome: run.Result(), stage: run.LastStage(), run: run, prod: short(image),
			failures: counts.Failed})
	t.check(run.Shells <= 8, "%s of release %s used %d sh steps, at most 8", name, release, run.Shells)
	return run, counts, nil
}

// console is where a run's console goes: whole, or what is readable of it. A person who is asked is not talked to.
func (t *teller) console(answers []string) (io.Writer, func()) {
	if t.whole {
		return t.out, func() {}
	}
	ticker := time.NewTicker(time.Second)
	if asks(answers) {
		ticker.Stop()
	}
	r := newReadable(t.out, ticker.C)
	return r, func() {
		ticker.Stop()
		_ = r.Close()
	}
}

func asks(answers []string) bool {
	return slices.ContainsFunc(answers, func(answer string) bool { return strings.HasSuffix(answer, "ask") })
}

// push commits what was written, pushes it, and runs the staging pipeline, as the web hook does.
func (t *teller) push(ctx context.Context, release, message string) (site.Run, error) {
	if _, err := t.site.Service.Commit(ctx, message); err != nil {
		return site.Run{}, err
	}
	if err := t.site.Service.Push(ctx, "Staging"); err != nil {
		return site.Run{}, err
	}
	fmt.Fprintf(t.out, "$ git push origin HEAD:Staging\n")
	run, _, err := t.run(ctx, release, "Jenkinsfile", "yes")
	return run, err
}

func (t *teller) image(ctx context.Context, namespace, deployment string) (string, error) {
	out, err := site.Kubectl(ctx, "get", "deployment/"+deployment, "-n", namespace, "-o", "jsonpath={.spec.template.spec.containers[0].image}")
	return strings.TrimSpace(out), err
}

// short is the tag and the beginning of the digest.
func short(image string) string {
	image = image[strings.LastIndex(image, "/")+1:]
	name, digest, _ := strings.Cut(image, "@sha256:")
	_, tag, _ := strings.Cut(name, ":")
	return tag + "@" + digest[:min(12, len(digest))]
}

// quiet checks that nothing of a canary is left.
func (t *teller) quiet(ctx context.Context) error {
	replicas, err := site.Kubectl(ctx, "get", "deployment/"+site.App+"-canary", "-n", "prod", "--ignore-not-found",
		"-o", "jsonpath={.spec.replicas} {.metadata.annotations.slipway\\.dev/canary}")
	if err != nil {
		return err
	}
	leases, err := site.Kubectl(ctx, "get", "leases", "-n", "prod", "-o", "name")
	if err != nil {
		return err
	}
	t.check(slices.Contains([]string{"", "0"}, strings.TrimSpace(replicas)), "the canary has 0 replicas and no journal (%q)",
		strings.TrimSpace(replicas))
	t.check(strings.TrimSpace(leases) == "", "no Lease is held (%q)", strings.TrimSpace(leases))
	return nil
}

func (t *teller) migration(ctx context.Context, namespace, want string) error {
	at, err := t.site.Migration(ctx, namespace)
	if err != nil {
		return err
	}
	t.check(at == want, "the database of %s is at %s (%s)", namespace, want, at)
	return nil
}

func (t *teller) table() {
	t.title("What was shipped")
	fmt.Fprintf(t.out, "%-8s %-11s %-9s %-22s %-26s %8s %4s %7s\n", "RELEASE", "PIPELINE", "RESULT", "LAST STAGE", "PRODUCTION RUNS",
		"SECONDS", "SH", "FAILED")
	for _, r := range t.rows {
		fmt.Fprintf(t.out, "%-8s %-11s %-9s %-22s %-26s %8.1f %4d %7d\n", r.release, r.pipeline, r.outcome, r.stage, r.prod, r.run.Seconds,
			r.run.Shells, r.failures)
	}
	if len(t.rows) > 1 {
		staging, production := t.rows[0].run.Seconds, t.rows[1].run.Seconds
		own := production - analysis.Seconds()
		fmt.Fprintf(t.out, "\nrelease 1: production took %.2f of staging's time, and %.2f without the %s in which the canary is judged\n",
			production/staging, own/staging, analysis)
	}
}

// addUser gives production a user as staging has none.
func (t *teller) addUser(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	_, err := site.Command{}.Run(ctx, "curl", "-sSf", "-X", "POST", "-H", "Content-Type: application/json", "-d",
		`{"email":"ada+news@example.com","name":"Ada"}`, "http://"+site.App+".prod.svc.cluster.local/users")
	return err
}
