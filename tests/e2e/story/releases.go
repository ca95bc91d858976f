package story

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"slipway.dev/slipway/tests/e2e/site"
)

// healthy: release 1 goes all the way.
func (t *teller) healthy(ctx context.Context) error {
	t.title("Release 1: from a push to production")
	staging, err := t.push(ctx, "1", "Find users by name")
	if err != nil {
		return err
	}
	t.check(staging.Result() == "SUCCESS", "staging run 1 ends with SUCCESS (%s)", staging.Result())
	production, counts, err := t.run(ctx, "1", "Jenkinsfile.prod", t.answer)
	if err != nil {
		return err
	}
	t.check(production.Result() == "SUCCESS", "production run 1 ends with SUCCESS (%s)", production.Result())
	staged, err := t.image(ctx, "staging", site.App)
	if err != nil {
		return err
	}
	promoted, err := t.image(ctx, "prod", site.App)
	if err != nil {
		return err
	}
	t.check(staged == promoted && strings.Contains(promoted, "@sha256:"), "production runs the digest that staging verified: %s",
		short(promoted))
	t.check(counts.Failed == 0, "no request of %d failed meanwhile (%d %s)", counts.Total(), counts.Failed, counts.Why)
	t.check(counts.Versions["latest-1"] > 0 && counts.Versions["day-0"] > 0, "both versions answered meanwhile: %v", counts.Versions)
	t.check(!strings.Contains(staging.Console, "the evidence is not signed"), "staging signed its evidence, and production takes no other")
	good, err := site.Kubectl(ctx, "get", "deployment/"+site.App, "-n", "prod", "-o",
		`jsonpath={.metadata.annotations.slipway\.dev/last-good}`)
	if err != nil {
		return err
	}
	t.check(strings.Contains(good, site.Image+":day-0@"), "stable notes day-0 as the revision to go back to: %s", good)
	if err := t.monitored(); err != nil {
		return err
	}
	answered, all := t.canary.share("latest-1")
	share := 100 * float64(answered) / float64(max(1, all))
	// One pod of ten, and each request takes any: with some hundred requests, chance stays far inside these.
	t.check(strings.Contains(production.Kept("canary-report.html"), "<h1>HEALTHY</h1>"), "the analysis' page is archived with the run")
	t.check(share > 4 && share < 18, "while it was judged, the canary answered %d of %d requests: %.1f %%, asked for 10 %%", answered, all,
		share)
	if err := t.quiet(ctx); err != nil {
		return err
	}
	return t.migration(ctx, "prod", "003")
}

// broken: release 2 fails on data that only production has.
func (t *teller) broken(ctx context.Context) error {
	t.title("Release 2: healthy in staging, broken in production")
	before, err := t.image(ctx, "prod", site.App)
	if err != nil {
		return err
	}
	const good = "    return session.scalars(select(User).where(User.id > after).order_by(User.id).limit(limit)).all()"
	const bad = `    found = session.scalars(select(User).where(User.id > after).order_by(User.id).limit(limit)).all()
    if any("+" in user.email for user in found):
        raise ValueError("an address with a tag")
    return found`
	if err := t.site.Service.Replace("app/crud.py", good, bad); err != nil {
		return err
	}
	staging, err := t.push(ctx, "2", "Check addresses")
	if err != nil {
		return err
	}
	t.check(staging.Result() == "SUCCESS", "staging run 2 ends with SUCCESS (%s)", staging.Result())
	production, counts, err := t.run(ctx, "2", "Jenkinsfile.prod", t.answer)
	if err != nil {
		return err
	}
	t.check(production.Result() == "FAILURE", "production run 2 ends with FAILURE (%s)", production.Result())
	t.check(production.LastStage() == "Deploy Canary", "it was stopped at the canary (%s)", production.LastStage())
	t.check(strings.Contains(production.Console, "was rolled back") && strings.Contains(production.Console, "requests failed"),
		"the console's last lines say why")
	t.check(strings.Contains(production.Console, "    ValueError: an address with a tag"),
		"and above them stands what the canary said last, as its pod is gone")
	t.check(strings.Contains(production.Kept("canary-report.html"), "<h1>UNHEALTHY</h1>"),
		"the analysis' page is archived with the run that it stopped")
	t.check(counts.Failed < counts.Total()/5, "only the canary's share failed: %d of %d requests", counts.Failed, counts.Total())
	after, err := t.image(ctx, "prod", site.App)
	if err != nil {
		return err
	}
	t.check(before == after, "stable was not touched: %s", short(after))
	if err := t.site.Service.Replace("app/crud.py", bad, good); err != nil {
		return err
	}
	return t.quiet(ctx)
}

// vulnerable: release 3 brings a dependency with a known hole.
func (t *teller) vulnerable(ctx context.Context) error {
	t.title("Release 3: a dependency with a known hole")
	line, err := vulnerableRequirement()
	if err != nil {
		return err
	}
	requirements, err := os.ReadFile(filepath.Join(t.site.Service.Dir, "requirements.txt"))
	if err != nil {
		return err
	}
	if err := t.site.Service.Write("requirements.txt", string(requirements)+line); err != nil {
		return err
	}
	staging, err := t.push(ctx, "3", "Read forms")
	if err != nil {
		return err
	}
	t.check(staging.Result() == "FAILURE" && staging.LastStage() == "Build, Scan & Push", "staging run 3 was stopped at the scan (%s in %s)",
		staging.Result(), staging.LastStage())
	t.check(strings.Contains(staging.Console, "CVE-2024-53981"), "the finding is named")
	_, err = site.Command{}.Run(ctx, filepath.Join(t.site.Root, "bin", "nexus-latest-tag"), t.site.Registry+"/"+site.Image, "--ca-file",
		os.Getenv("LAB_CA"), "--at", "latest-3", "--allow-unverified")
	t.check(err != nil, "nothing was pushed: latest-3 is not in the registry")
	return t.site.Service.Write("requirements.txt", string(requirements))
}

// vulnerableRequirement pins the old dependency with the hash that the site's index gives.
func vulnerableRequirement() (string, error) {
	out, err := site.Command{}.Run(context.Background(), "curl", "-sSf", os.Getenv("LAB_PIP_INDEX_URL")+"python-multipart/")
	if err != nil {
		return "", err
	}
	hash := regexp.MustCompile(`0\.0\.6-[^#"]*#sha256=([0-9a-f]{64})`).FindStringSubmatch(out)
	if hash == nil {
		return "", os.ErrNotExist
	}
	return "python-multipart==0.0.6 --hash=sha256:" + hash[1] + "\n", nil
}

// refused: release 4 is fine, and nobody approves it in time.
func (t *teller) refused(ctx context.Context) error {
	t.title("Release 4: nobody approves it in time")
	before, err := t.image(ctx, "prod", site.App)
	if err != nil {
		return err
	}
	if err := t.site.Service.Write("migrations/004_add_user_note.sql", "ALTER TABLE users ADD COLUMN note text;\n"); err != nil {
		return err
	}
	staging, err := t.push(ctx, "4", "Notes on users")
	if err != nil {
		return err
	}
	t.check(staging.Result() == "SUCCESS", "staging run 4 ends with SUCCESS (%s)", staging.Result())
	production, counts, err := t.run(ctx, "4", "Jenkinsfile.prod", "migrate="+t.answer, "promote=timeout")
	if err != nil {
		return err
	}
	t.check(production.Result() == "ABORTED", "production run 4 ends with ABORTED (%s)", production.Result())
	after, err := t.image(ctx, "prod", site.App)
	if err != nil {
		return err
	}
	t.check(before == after, "stable was not touched: %s", short(after))
	t.check(counts.Failed == 0, "no request of %d failed meanwhile (%d %s)", counts.Total(), counts.Failed, counts.Why)
	if err := t.quiet(ctx); err != nil {
		return err
	}
	return t.migration(ctx, "prod", "004")
}
