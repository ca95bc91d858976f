package migrate

// A rehearsal runs the pending files on a throw-away server of the same version that has
// the database's schema, and records what that server did.

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lib/pq"
	"github.com/sirupsen/logrus"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// Rehearsal is what a throw-away server did with a plan.
type Rehearsal struct {
	Plan    string          `json:"plan"`   // the id of the plan, without the rehearsal
	Server  string          `json:"server"` // its version, such as 15.8
	Role    string          `json:"role"`   // that ran the files
	Rows    int             `json:"rows"`   // synthetic rows in each table that the plan locks
	Files   []RehearsedFile `json:"files"`
	Missing []string        `json:"missing,omitempty"` // what could not be made there, and so was not observed
	Check   *Check          `json:"check,omitempty"`
	Back    *Back           `json:"back,omitempty"`
}

// RehearsedFile is what happened to a file.
type RehearsedFile struct {
	Name         string     `json:"name"`
	Error        string     `json:"error,omitempty"`
	Milliseconds float64    `json:"milliseconds"`
	Statements   []Observed `json:"statements"`
}

// Observed is what the server did with a statement.
type Observed struct {
	Line      int      `json:"line"`
	Locks     []Lock   `json:"locks,omitempty"`     // that it took beyond those of the file's earlier statements
	NotLocked []string `json:"notLocked,omitempty"` // although, or as strongly as, the rules claim it
	Rewritten []string `json:"rewritten,omitempty"`
	Scanned   []string `json:"scanned,omitempty"`
	// Sampled says that it ran outside a transaction, where its locks are looked at while it runs.
	Sampled      bool     `json:"sampled,omitempty"`
	Milliseconds float64  `json:"milliseconds"`
	WAL          int64    `json:"walBytes"`
	Estimate     float64  `json:"estimateMilliseconds,omitempty"` // with the real number of rows
	Differs      []string `json:"differs,omitempty"`              // how the claim of the rules differs
	Silent       bool     `json:"silent,omitempty"`               // the rules do not say an ACCESS EXCLUSIVE, or a rewrite
}

// Check is a command that was run against the old and the new schema: what it does not
// survive, the version that runs would not survive.
type Check struct {
	Command string `json:"command"`
	Before  string `json:"before,omitempty"` // why it failed on the schema as it is
	After   string `json:"after,omitempty"`  // why it failed on the new schema
}

// Back is the way back: the down files, the last one first, and the files once more.
type Back struct {
	Files   []string `json:"files"`
	Without []string `json:"without,omitempty"` // the files that have no down file
	Error   string   `json:"error,omitempty"`
	Leaves  []string `json:"leaves,omitempty"` // how the schema then differs from what it was
	Again   string   `json:"again,omitempty"`  // why the files could not be applied once more
}

// RehearseOptions say where and how.
type RehearseOptions struct {
	Stage
	Rows   int    // synthetic rows
	Check  string // a command
	Allow  Allow
	Report func(format string, arguments ...any)
}

// ID covers the plan and what was observed of it. How long something took is not a part of it.
func (r Rehearsal) ID() string {
	r.Files = slices.Clone(r.Files)
	for i := range r.Files {
		r.Files[i].Milliseconds = 0
		r.Files[i].Statements = slices.Clone(r.Files[i].Statements)
		for k := range r.Files[i].Statements {
			s := &r.Files[i].Statements[k]
			s.Milliseconds, s.WAL, s.Estimate = 0, 0, 0
		}
	}
	document, _ := json.Marshal(r)
	sum := sha256.Sum256(document)
	return hex.EncodeToString(sum[:])[:16]
}

// Failed is the first file that the server refused, or nothing.
func (r Rehearsal) Failed() string {
	for _, file := range r.Files {
		if file.Error != "" {
			return file.Error
		}
	}
	return ""
}

// Broken says that a file failed, or that the command does not survive the new schema.
func (r *Rehearsal) Broken() bool {
	return r != nil && (r.Failed() != "" || r.Check != nil && r.Check.Before == "" && r.Check.After != "")
}

// Why is the first line of what a rehearsal has shown.
func (r *Rehearsal) Why() string { return strings.Join(strings.Fields(r.lines()[0]), " ") }

// ReadRehearsal reads what rehearse has written.
func ReadRehearsal(path string) (*Rehearsal, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, slipway.Usagef("the rehearsal cannot be read").Because(err).Next("migrate-diff rehearse --write FILE makes it")
	}
	found := &Rehearsal{}
	if err := json.Unmarshal(body, found); err != nil || found.Plan == "" {
		return nil, slipway.Usagef("%s is not what migrate-diff rehearse has written", path).Next("migrate-diff rehearse --write FILE makes it")
	}
	return found, nil
}

// With is the plan with what was observed: its id covers both, and where the rules claim
// something else, what was observed wins.
func (p Plan) With(r *Rehearsal) (Plan, error) {
	if r == nil {
		return p, nil
	}
	if r.Plan != p.ID {
		return p, slipway.Errorf(slipway.Conflict, "the plan %s was rehearsed, and the plan is now %s", r.Plan, p.ID).
			Because(errors.New("files, history, server or the version of this tool have changed since")).Next("rehearse it again: migrate-diff " +
			"rehearse")
	}
	p.Rehearsal = r
	sum := sha256.Sum256([]byte(p.ID + " " + r.ID()))
	p.ID = hex.EncodeToString(sum[:])[:16]
	p.Pending = slices.Clone(p.Pending)
	for i := range p.Pending {
		at := slices.IndexFunc(r.Files, func(file RehearsedFile) bool { return file.Name == p.Pending[i].Name })
		if at < 0 {
			continue
		}
		p.Pending[i].Statements = slices.Clone(p.Pending[i].Statements)
		for k := range p.Pending[i].Statements {
			if k < len(r.Files[at].Statements) {
				p.Pending[i].Statements[k].observed(r.Files[at].Statements[k])
			}
		}
	}
	return p, nil
}

// observed puts what the server did in the place of what the rules claim.
func (s *Statement) observed(o Observed) {
	s.Observed = &o
	s.Locks = slices.DeleteFunc(slices.Clone(s.Locks), func(lock Lock) bool { return slices.Contains(o.NotLocked, lock.Table) })
	for _, lock := range o.Locks {
		if lock.Index {
			s.Locks = append(s.Locks, lock)
		} else {
			s.lock(lock.Table, lock.Mode)
		}
	}
	if !o.Sampled && s.Kind != "TRUNCATE" {
		s.Rewrites, s.Scans = len(o.Rewritten) > 0, len(o.Scanned) > 0
	}
	for i := range s.Findings {
		if s.Findings[i].Name == "not-analysed" {
			s.Findings[i].Message = "not analysed, observed in the rehearsal: " + s.Findings[i].Message
		}
	}
}

// Rehearse runs the plan on a throw-away server. Nothing is written to the database, and no row of it is read.
func (d *Database) Rehearse(ctx context.Context, files []Migration, options RehearseOptions) (plan Plan, err error) {
	if plan, err = d.Plan(ctx, files, options.Allow); err != nil || len(plan.Pending) == 0 {
		return plan, err
	}
	locale, err := d.localeOf(ctx)
	if err != nil {
		return plan, err
	}
	pgDump, err := findDump(ctx, options.PgDump, options.Programs, plan.Server)
	if err != nil {
		return plan, err
	}
	options.report("starting a PostgreSQL %d", plan.Server)
	stage, note, err := options.makeThrowaway(ctx, plan.Server, locale)
	if err != nil {
		return plan, err
	}
	defer stage.remove(ctx)
	defer stage.admin.Close()
	if same, err := d.sameServer(ctx, stage.admin); err != nil || same {
		if err == nil {
			err = slipway.Usagef("the server of the rehearsal is the database's own").Next("name another one: a rehearsal locks, rewrites and fails")
		}
		return plan, err
	}
	r := rehearsing{Database: stage.admin, stage: stage, target: d, plan: plan, options: options, pgDump: pgDump,
		found: &Rehearsal{Plan: plan.ID, Rows: options.Rows}}
	if note != "" {
		r.found.Missing = append(r.found.Missing, note)
	}
	if err := r.prepare(ctx); err != nil {
		return plan, err
	}
	if err := r.play(ctx, files); err != nil {
		return plan, err
	}
	return plan.With(r.found)
}

func (o RehearseOptions) report(format string, arguments ...any) {
	if o.Report != nil {
		o.Report(format, arguments...)
	}
}

// rehearsing is one rehearsal.
type rehearsing struct {
	*Database // the superuser's session on the throw-away server, or that of who owns the database there
	stage     *throwaway
	target    *Database
	plan      Plan
	options   RehearseOptions
	pgDump    string
	found     *Rehearsal
	rows      map[string]int64 // synthetic rows by table
	was       string           // the schema before
}

// prepare gives the throw-away database the schema, the history and some rows.
func (r *rehearsing) prepare(ctx context.Context) error {
	r.options.report("copying the schema of %s", r.target.name)
	dump, err := r.target.dumpSchema(ctx, r.pgDump)
	if err != nil {
		return err
	}
	roles, err := r.target.copyRoles(ctx, r.Database)
	if err != nil {
		return err
	}
	r.stage.roles = roles
	missing, err := r.restore(ctx, dump)
	if err != nil {
		return err
	}
	r.found.Missing = append(r.found.Missing, missing...)
	if err := r.conn.QueryRowContext(ctx, "SELECT current_setting('server_version')").Scan(&r.found.Server); err != nil {
		return r.explain(err)
	}
	var role string
	if err := r.target.conn.QueryRowContext(ctx, "SELECT current_user").Scan(&role); err != nil {
		return r.target.explain(err)
	}
	r.found.Role = role
	history, err := r.target.History(ctx)
	if err != nil {
		return err
	}
	r.place = r.target.place
	if err := r.copyHistory(ctx, history); err != nil {
		return err
	}
	r.options.report("making synthetic rows")
	return r.fill(ctx)
}

// play runs the files as the role that will run them, then the command, and the way back.
func (r *rehearsing) play(ctx context.Context, files []Migration) error {
	session, err := connectAlone(ctx, r.stage.address(r.found.Role))
	if err != nil {
		return err
	}
	defer session.Close()
	session.place = r.target.place
	if err := r.check(ctx, func(c *Check, why string) { c.Before = why }); err != nil {
		return err
	}
	if err := session.createHistory(ctx); err != nil {
		return err
	}
	if r.was, err = r.schemaNow(ctx); err != nil {
		return err
	}
	for i, file := range r.plan.Pending {
		r.options.report("rehearsing %s, %d of %d", file.Name, i+1, len(r.plan.Pending))
		if err := r.file(ctx, session, file); err != nil {
			return err
		}
		if r.found.Failed() != "" {
			return nil
		}
	}
	if err := r.check(ctx, func(c *Check, why string) { c.After = why }); err != nil {
		return err
	}
	return r.back(ctx, session, files)
}

// file runs one file as apply does, and looks at the session after each statement.
func (r *rehearsing) file(ctx context.Context, session *Database, file Migration) error {
	began := time.Now()
	played := RehearsedFile{Name: file.Name, Statements: []Observed{}}
	run := runner{session, file, Options{LockTimeout: time.Minute, LockAttempts: 1, AppliedBy: "rehearsal"}, r.plan.ID, true,
		r.plan.Server, began}
	observing, err := newObserver(ctx, session.conn)
	if err != nil {
		return session.explain(err)
	}
	oids, err := observing.oids(ctx, r.named())
	if err != nil {
		return session.explain(err)
	}
	p := playing{r, run, observing, oids}
	switch {
	case file.Alone:
		err = p.alone(ctx, &played)
	case len(file.chunks) > 1: // too large to be looked at statement by statement
		err = run.inTransaction(ctx)
	default:
		err = p.inTransaction(ctx, &played)
	}
	played.Milliseconds = milliseconds(time.Since(began))
	if err != nil {
		run.rollBack(ctx)
		known := slipway.AsError(err)
		if ctx.Err() != nil || known.Code == slipway.Unknown {
			return err
		}
		played.Error = fmt.Sprintf("%s: %s", known.Message, known.Why)
	}
	r.found.Files = append(r.found.Files, played)
	return nil
}

// named are all relations of the plan's claims.
func (r *rehearsing) named() []string {
	var names []string
	for _, migration := range r.plan.Pending {
		for _, s := range migration.Statements {
			for _, lock := range s.Locks {
				names = append(names, lock.Table)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// schemaNow is what pg_dump writes of the throw-away database, without what is new in each dump.
func (r *rehearsing) schemaNow(ctx context.Context) (string, error) {
	dump, err := r.dumpSchema(ctx, r.pgDump)
	return restricting.ReplaceAllString(dump, ""), err
}

// back runs the down files, the last one first, and the files once more.
func (r *rehearsing) back(ctx context.Context, session *Database, files []Migration) error {
	found := &Back{Files: []string{}}
	var downs []Migration
	for _, file := range slices.Backward(r.plan.Pending) {
		name := strings.TrimSuffix(strings.TrimSuffix(file.Name, ".sql"), ".up") + ".down.sql"
		path := filepath.Join(filepath.Dir(file.path), name)
		if _, err := os.Stat(path); err != nil || file.Repeatable {
			found.Without = append(found.Without, file.Name)
			continue
		}
		sum, err := hashOf(path)
		if err != nil {
			return slipway.Usagef("the file %s cannot be read", name).Because(err)
		}
		downs = append(downs, Migration{Version: file.Version, Name: name, Checksum: sum, path: path})
	}
	if len(downs) == 0 {
		return nil
	}
	r.found.Back = found
	for _, down := range downs {
		r.options.report("rehearsing the way back: %s", down.Name)
		if err := down.Parse(); err != nil {
			found.Error = err.Error()
			return nil
		}
		for _, s := range down.Statements {
			if err := session.exec(ctx, "%s", s.text); err != nil {
				found.Error = fmt.Sprintf("%s:%d: %s", down.Name, s.Line, withoutSecrets(err, session.secrets...))
				return nil
			}
		}
		if err := session.exec(ctx, "DELETE FROM %s WHERE version = %s", session.place.table, pq.QuoteLiteral(down.Version)); err != nil {
			return session.explain(err)
		}
		found.Files = append(found.Files, down.Name)
	}
	if len(found.Without) > 0 { // the schema is then not what it was, and the files cannot be applied again
		return nil
	}
	is, err := r.schemaNow(ctx)
	if err != nil {
		return err
	}
	found.Leaves = differences(r.was, is)
	_, err = session.Apply(ctx, files, Options{Allow: r.options.Allow, AllowBreaking: true, LockTimeout: time.Minute, LockAttempts: 1,
		AppliedBy: "rehearsal"})
	if err != nil {
		found.Again = err.Error()
		logrus.Debugf("apply after the way back: %v", err)
	}
	return nil
}

// differences are the lines that only one of two schemas has, some of them.
func differences(was, is string) (lines []string) {
	count := map[string]int{}
	for _, line := range strings.Split(was, "\n") {
		count[line]++
	}
	for _, line := range strings.Split(is, "\n") {
		if count[line]--; count[line] < 0 && strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "--") {
			lines = append(lines, "more: "+strings.TrimSpace(line))
		}
	}
	for _, line := range strings.Split(was, "\n") {
		if count[line] > 0 && strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "--") {
			count[line]--
			lines = append(lines, "gone: "+strings.TrimSpace(line))
		}
	}
	if len(lines) > 20 {
		lines = append(lines[:20], fmt.Sprintf("and %d more", len(lines)-20))
	}
	return lines
}
