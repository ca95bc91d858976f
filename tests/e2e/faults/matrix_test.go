//go:build lab

package faults

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/e2e/site"
	"slipway.dev/slipway/tests/pipelines/matrix"
)

// moment is one at which a production run is stopped: a helper that runs, or an
// approval that is asked for, after a line with that text.
type moment struct {
	stage, name, process, after string
	pending                     bool // a migration has to be
	changed                     bool // stable is asked for the new image already
}

func (m moment) asks() bool { return m.process == "" }

func (m moment) row() matrix.Row { return matrix.Row{Stage: m.stage, Step: m.name} }

var moments = []moment{
	{stage: "Checkout & Stash", name: "image to promote", process: `^slipway phase find `},
	{stage: "Checkout & Stash", name: "what would change", process: `^slipway phase compare `},
	{stage: "Checkout & Stash", name: "migration plan", process: `^slipway phase plan `, pending: true},
	{stage: "Database Migration", name: "approval", after: "(Database Migration)", pending: true},
	{stage: "Database Migration", name: "migration", process: `^slipway migrate-diff apply`, pending: true},
	{stage: "Deploy Canary", name: "canary at 20 %", process: `^slipway phase canary `},
	{stage: "Deploy Canary", name: "canary health", process: `^slipway phase judge `},
	{stage: "Promote to Production", name: "approval", after: "(Deploy Canary)"},
	{stage: "Promote to Production", name: "promotion", process: promoting},
	{stage: "Promote to Production", name: "rollout", process: promoting, changed: true},
	{stage: "Promote to Production", name: "canary to 0", process: `^slipway phase undo canary `},
}

// blow is one way to stop a run, or to disturb it.
type blow struct {
	name    string
	strike  func(c *cell, signal site.Signal, helper int)
	results func(m moment) []string // of the build; none for one that is gone
	chosen  string                  // the moment at which the default run does it
	where   func(m moment) bool     // where it can happen
	alone   bool                    // it strikes whatever else runs
}

func always(results ...string) func(moment) []string {
	return func(moment) []string { return results }
}

// unless says that a run goes on at those moments, and elsewhere ends so.
func unless(names []string, results ...string) func(moment) []string {
	return func(m moment) []string {
		if slices.Contains(names, m.name) {
			return append([]string{"SUCCESS"}, results...)
		}
		return results
	}
}

func helps(m moment) bool { return !m.asks() }

var blows = []blow{
	{name: "abort", strike: func(_ *cell, run site.Signal, _ int) { run(syscall.SIGTERM) }, results: always("ABORTED"), chosen: "rollout"},
	{name: "rejected", results: always("ABORTED"), where: moment.asks},
	{name: "not answered", results: always("ABORTED"), where: moment.asks},
	{name: "restart", strike: func(_ *cell, run site.Signal, _ int) { run(syscall.SIGKILL) }, results: always("SUCCESS"),
		chosen: "canary health"},
	{name: "gone", strike: func(_ *cell, run site.Signal, _ int) { run(syscall.SIGKILL) }},
	{name: "helper killed", strike: func(c *cell, _ site.Signal, helper int) {
		require.NoError(c.t, syscall.Kill(helper, syscall.SIGKILL))
	}, results: unless([]string{"canary to 0"}, "FAILURE"), chosen: "canary health", where: helps},
	// A pod that is lost before anything has begun is tried once more; at the very end all may be done.
	{name: "agent's pod deleted", strike: func(c *cell, _ site.Signal, helper int) {
		require.NoError(c.t, syscall.Kill(helper, syscall.SIGSTOP)) // a migration of some milliseconds would end before its pod
		c.deletePods()
	},
		results: unless([]string{"image to promote", "what would change", "migration plan", "canary to 0"}, "ABORTED", "FAILURE"),
		chosen:  "canary at 20 %", where: helps},
	{name: "API away for 30 s", strike: func(c *cell, _ site.Signal, _ int) { pauseAPI(c.t, 30*time.Second) },
		results: always("SUCCESS", "FAILURE", "ABORTED"), alone: true},
}

// pauseAPI stops the API server's process, and lets it go on.
func pauseAPI(t *testing.T, length time.Duration) {
	t.Helper()
	pid := process(regexp.MustCompile(`^\S*kube-apiserver `))
	require.NotZero(t, pid)
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	time.Sleep(length) // what is tested is just this absence
	require.NoError(t, syscall.Kill(pid, syscall.SIGCONT))
}

// which is "all", "missing" (those that the table does not have yet, or not as they must be) or empty.
func which() string { return os.Getenv("SLIPWAY_MATRIX") }

// productions are all alike: the matrix has the second one, and both where it is all that is played.
func productions() []string { return []string{"prod", "prod-2"} }

// cell is one moment and one blow, in a production of its own.
type cell struct {
	moment
	blow
	t         *testing.T
	namespace string
	job       string
	before    string // stable's image
}

// TestWhateverStopsAProductionRunItEndsWell strikes a production run on the real
// cluster; SLIPWAY_MATRIX=all does so at every moment with every blow, those first
// that come when production is being changed.
func TestWhateverStopsAProductionRunItEndsWell(t *testing.T) {
	outcomes, err := matrix.Open(filepath.Join(prepared.Root, "docs/stop-matrix.md"), "the cluster", rows(), columns(), count())
	require.NoError(t, err)
	namespaces := productions()
	if which() == "" {
		t.Parallel() // beside those that leave the second production alone
		namespaces = namespaces[1:]
	}
	var together, alone []cell
	for _, moment := range slices.Backward(moments) {
		for _, blow := range blows {
			if blow.where != nil && !blow.where(moment) || which() == "" && blow.chosen != moment.name || which() == "missing" &&
				outcomes.Good(moment.row(), blow.name) {
				continue
			}
			if blow.alone {
				alone = append(alone, cell{moment: moment, blow: blow})
			} else {
				together = append(together, cell{moment: moment, blow: blow})
			}
		}
	}
	before := stableImage(t, namespaces[0])
	playAll(t, together, namespaces, before, outcomes)
	playAll(t, alone, namespaces[:1], before, outcomes)
}

func rows() []matrix.Row {
	var found []matrix.Row
	for _, moment := range moments {
		found = append(found, moment.row())
	}
	return found
}

func columns() []string {
	var found []string
	for _, blow := range blows {
		found = append(found, blow.name)
	}
	return found
}

func count() int {
	sum := 0
	for _, moment := range moments {
		for _, blow := range blows {
			if blow.where == nil || blow.where(moment) {
				sum++
			}
		}
	}
	return sum
}

var played atomic.Int64

// playAll plays cells, one after the other in each namespace; none is begun when the test's time is nearly over.
func playAll(t *testing.T, cells []cell, namespaces []string, before string, outcomes *matrix.Table) {
	t.Helper()
	end, limited := t.Deadline()
	next := make(chan cell, len(cells))
	for _, c := range cells {
		next <- c
	}
	close(next)
	var group sync.WaitGroup
	for _, namespace := range namespaces {
		group.Go(func() {
			for c := range next {
				if limited && time.Until(end) < 4*time.Minute {
					return
				}
				t.Run(c.moment.stage+", "+c.moment.name+", "+c.blow.name, func(t *testing.T) {
					c.t, c.namespace, c.before = t, namespace, before
					outcome := c.play(before)
					if which() != "" {
						assert.NoError(t, outcomes.Put(c.row(), c.blow.name, outcome, !t.Failed()))
					}
				})
			}
		})
	}
	group.Wait()
}

// play strikes a run, sees that it ends well, and puts the version before there again.
func (c cell) play(before string) string {
	begin := time.Now()
	c.prepare()
	run := c.strike(before)
	how := c.settled(before)
	if c.results != nil {
		assert.Contains(c.t, c.results(c.moment), run.Result(), run.Console)
		assert.Contains(c.t, run.Console, "slipway: production run", "the last words are ours")
		valid(c.t, run)
		switch {
		case run.Result() == "SUCCESS":
			assert.Equal(c.t, "new version everywhere", how, run.Console)
		case c.moment.name != "canary to 0":
			assert.Equal(c.t, "as before", how, run.Console)
		}
	}
	outcome := how
	if run.Result() != "none" {
		outcome = run.Result() + ", " + how
	}
	c.back(before)
	c.t.Logf("%s, in %.0f s", outcome, time.Since(begin).Seconds())
	return outcome
}

// prepare makes the last migration pending again, or sees that it is not.
func (c cell) prepare() {
	c.t.Helper()
	if c.pending {
		_, err := site.Command{Env: prepared.Database(c.namespace)}.Run(c.t.Context(), "psql", "-v", "ON_ERROR_STOP=1", "-q",
			"-c", "DROP INDEX IF EXISTS users_name_idx", "-c", "DELETE FROM schema_migrations WHERE version = '003'", "-c",
			"DELETE FROM schema_migrations_progress")
		require.NoError(c.t, err)
		return
	}
	require.NoError(c.t, prepared.Migrate(c.t.Context(), c.namespace))
}

func (c cell) pipeline() site.Pipeline {
	settings := quick("SLIPWAY_HOLD", "4s")
	if c.results == nil {
		settings["SLIPWAY_CANARY_EXPIRES"] = "20s"
	}
	return site.Pipeline{Jenkinsfile: "Jenkinsfile.prod", Namespace: c.namespace, Job: c.job, Answers: []string{"yes"}, Settings: settings}
}

// strike plays a run until the moment, strikes, and gives how it ended. A moment may be
// as short as a helper's answer: one that was missed is waited for once more.
func (c *cell) strike(before string) site.Run {
	c.t.Helper()
	for attempt := 1; ; attempt++ {
		c.job = fmt.Sprintf("cell-%d", played.Add(1))
		run, came := c.once()
		if came {
			return run
		}
		require.Less(c.t, attempt, 3, "the moment never came:\n%s", run.Console)
		c.back(before)
		c.prepare()
	}
}

func (c *cell) once() (site.Run, bool) {
	c.t.Helper()
	p := c.pipeline()
	switch {
	case c.blow.name == "rejected" || c.blow.name == "not answered":
		id := map[string]string{"Database Migration": "migrate", "Promote to Production": "promote"}[c.stage]
		p.Answers = append(p.Answers, id+"="+map[string]string{"rejected": "no", "not answered": "timeout"}[c.blow.name])
		run, err := prepared.Run(c.t.Context(), p)
		require.NoError(c.t, err)
		return run, true
	case c.asks():
		return c.whileItAsks(p), true
	}
	run, came := struck(c.t, p, c.process, func(signal site.Signal, helper int) {
		if c.changed {
			untilChanged(c.t, c.namespace, c.before)
		}
		c.blow.strike(c, signal, helper)
	})
	if came && c.blow.name == "restart" {
		return c.resume(run, p, nil), true
	}
	return run, came
}

// whileItAsks strikes while the approval waits; where the run goes on, it is then approved.
func (c *cell) whileItAsks(p site.Pipeline) site.Run {
	c.t.Helper()
	id := map[string]string{"Database Migration": "Migrate", "Promote to Production": "Promote"}[c.stage]
	p.Answers = append(p.Answers, strings.ToLower(id)+"=wait")
	signal, wait := asked(c.t, p, c.after)
	c.blow.strike(c, signal, 0)
	approve := func() {
		assert.NoError(c.t, prepared.Ask(c.t.Context(), p, "input "+id+" proceed"))
	}
	if c.blow.alone {
		approve()
	}
	run, err := wait()
	require.NoError(c.t, err)
	if c.blow.name == "restart" {
		return c.resume(run, p, approve)
	}
	return run
}

// resume goes on with a build whose process was killed, and does something when it is at work again.
func (c *cell) resume(killed site.Run, p site.Pipeline, then func()) site.Run {
	c.t.Helper()
	p.Resume, p.Answers = true, nil
	ready := make(chan struct{})
	p.Out = &until{text: "Ready to run at", found: ready}
	_, wait, err := prepared.Start(c.t.Context(), p)
	require.NoError(c.t, err)
	if then != nil {
		select {
		case <-ready:
			then()
		case <-time.After(time.Minute):
			c.t.Error("the build did not go on")
		}
	}
	run, err := wait()
	require.NoError(c.t, err)
	run.Console = killed.Console + run.Console
	return run
}

func (c *cell) deletePods() {
	const namespace = "jenkins-prod"
	for _, pod := range strings.Fields(kubectl(c.t, "get", "pods", "-n", namespace, "-l", "jenkins=slave", "-o", "name")) {
		if strings.Contains(pod, "-"+c.job+"-") { // its name begins with the job's folder
			kubectl(c.t, "delete", "-n", namespace, pod, "--grace-period=0", "--force", "--ignore-not-found")
		}
	}
}

// settled sees that all traffic is on one verified digest and nothing of a canary is
// left; only where the controller is gone does the reaper help. It says on which.
func (c cell) settled(before string) string {
	c.t.Helper()
	reaped := false
	if !assert.Eventually(c.t, func() bool {
		if quietIn(c.t, c.namespace) == "" && len(digests(c.t, c.namespace)) == 1 {
			return true
		}
		if c.results == nil {
			reaped = true
			job := fmt.Sprintf("reap-%d", time.Now().UnixNano())
			kubectl(c.t, "create", "job", job, "-n", c.namespace, "--from=cronjob/canary-reaper")
			_, _ = site.Kubectl(c.t.Context(), "wait", "-n", c.namespace, "job/"+job, "--for=condition=Complete", "--timeout=60s")
		}
		return false
	}, 3*time.Minute, 3*time.Second) {
		return fmt.Sprintf("not at rest: %s, on %v", quietIn(c.t, c.namespace), digests(c.t, c.namespace))
	}
	assert.Equal(c.t, fmt.Sprint(replicas), kubectl(c.t, "get", "deployment/"+site.App, "-n", c.namespace, "-o", "jsonpath={.spec.replicas}"))
	at, err := prepared.Migration(context.WithoutCancel(c.t.Context()), c.namespace)
	assert.NoError(c.t, err, "the database is at a file's boundary")
	if c.pending {
		assert.Contains(c.t, []string{"002", "003"}, at)
	} else {
		assert.Equal(c.t, "003", at)
	}
	how := "as before"
	if stableImage(c.t, c.namespace) != before {
		how = "new version everywhere"
	}
	if reaped {
		how += ", reaped"
	}
	return how
}

// digests are those that run behind the shared Service.
func digests(t *testing.T, namespace string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, image := range strings.Fields(kubectl(t, "get", "pods", "-n", namespace, "-l", "app.kubernetes.io/name="+site.App, "-o",
		"jsonpath={.items[*].spec.containers[0].image}")) {
		found[image] = true
	}
	return found
}

func stableImage(t *testing.T, namespace string) string {
	t.Helper()
	return kubectl(t, "get", "deployment/"+site.App, "-n", namespace, "-o", "jsonpath={.spec.template.spec.containers[0].image}")
}

// back puts the version before there again, and takes away what a dead controller left.
func (c cell) back(image string) {
	c.t.Helper()
	c.deletePods()
	back(c.t, c.namespace, image)
}

func back(t *testing.T, namespace, image string) {
	t.Helper()
	if stableImage(t, namespace) == image {
		return
	}
	kubectl(t, "set", "image", "-n", namespace, "deployment/"+site.App, "app="+image)
	kubectl(t, "rollout", "status", "-n", namespace, "deployment/"+site.App, "--timeout=3m")
}
