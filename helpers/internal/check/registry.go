package check

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/registry"
)

var registryChecks = []Check{
	{"registry-reachable", Registry, "the registry answers", "no image can be pushed, found or pulled", registryAnswers},
	{"registry-tls", Registry, "it speaks TLS with a certificate that is trusted here and valid for 30 days more",
		"logins travel in clear, or every command fails on the day on which it ends", registryTLS},
	{"registry-clock", Registry, "its clock and this machine's agree", "which image was verified later is compared by time", registryClock},
	{"registry-login", Registry, "it accepts the login", "builds cannot push, and releases cannot be found", registryLogin},
	{"registry-push", Registry, "the login may push to the repository (an upload is begun and cancelled)",
		"the stage Build, Scan & Push fails after the whole build", registryPush},
	{"registry-tags", Registry, "all tags can be listed, also where they are more than a page",
		"an old image would be taken for the newest one", registryTags},
	{"registry-referrers", Registry, "it has the referrers API, or the tags that stand for it",
		"evidence is found more slowly, and by these helpers only", registryReferrers},
	{"registry-artifact", Registry, "an artifact that is pushed can be pulled again (asked with --probe-registry)",
		"a proxy or a policy of the repository keeps releases out", registryArtifact},
	{"registry-evidence", Registry, "evidence can be attached to an image and read again (asked with --probe-registry)",
		"nothing can be promoted: production accepts verified images only", registryEvidence},
	{"registry-redeploy", Registry, "a tag cannot be moved to another image (asked with --probe-registry)",
		"who may push can replace a release under its name; what is promoted goes by digest, what people deploy by hand does not",
		registryRedeploy},
	{"registry-delete", Registry, "the login may not delete images (asked with --probe-registry)",
		"who has it can take away the image that production runs", registryDelete},
	{"registry-node-login", Registry, "the nodes' login, in the Secret nexus-pull of production, may pull and not push",
		"who may start a pod can read that login", registryNodeLogin},
	{"registry-quarantine", Registry, "the quarantine repository takes a push",
		"without one, each build sends its image through Jenkins, as a stash", registryQuarantine},
}

// repository reads --registry.
func (s *Site) repository() (name.Repository, error) { return s.Images.Repository(s.Repository) }

// greeted asks the registry once whether it is one.
func (s *Site) greeted(ctx context.Context) (registry.Greeting, error) {
	return s.greeting.get(ctx, s.limit, func(ctx context.Context) (registry.Greeting, error) {
		repository, err := s.repository()
		if err != nil {
			return registry.Greeting{}, err
		}
		return s.Images.Greet(ctx, repository)
	})
}

// untrusted says that the registry answers, with a certificate that is not trusted here.
func untrusted(err error) bool {
	return err != nil && strings.Contains(slipway.AsError(err).Message, "is not one that this machine trusts")
}

func registryAnswers(ctx context.Context, s *Site) Finding {
	_, err := s.greeted(ctx)
	if untrusted(err) {
		return ok("it answers; registry-tls says more")
	}
	if err != nil {
		return unreachable(err)
	}
	return ok("%s", s.Repository)
}

// unreachable is missing, and unknown where a server did not answer at all.
func unreachable(err error) Finding {
	known := slipway.AsError(err)
	found := missing("%s", oneLine(err)).with("%s", known.Hint)
	found.Unknown = known.Code == slipway.Unknown
	if found.Fix == "" {
		found.Fix = "look whether it runs, and whether it can be reached from here"
	}
	return found
}

func registryTLS(ctx context.Context, s *Site) Finding {
	greeting, err := s.greeted(ctx)
	if untrusted(err) {
		return missing("%s", oneLine(err)).with("%s", slipway.AsError(err).Hint)
	}
	if err != nil {
		return skipped("the registry does not answer: registry-reachable")
	}
	return certificateOf(greeting.Expires, time.Now())
}

// certificateOf judges by the end of a certificate; it is zero where there is none.
func certificateOf(expires, now time.Time) Finding {
	const renew = "renew the certificate of the registry"
	switch left := expires.Sub(now); {
	case expires.IsZero():
		return missing("it speaks plain HTTP: the login travels in clear").with("give the registry a certificate, and leave --plain-http away")
	case left < 30*24*time.Hour:
		return warning("its certificate ends on %s", expires.UTC().Format(time.DateOnly)).with(renew)
	}
	return ok("its certificate is valid until %s", expires.UTC().Format(time.DateOnly))
}

func registryClock(ctx context.Context, s *Site) Finding {
	greeting, err := s.greeted(ctx)
	switch {
	case err != nil:
		return skipped("the registry does not answer a trusted greeting")
	case greeting.Now.IsZero():
		return skipped("its answer has no Date")
	}
	return clockOf(time.Until(greeting.Now), "the registry", "its server")
}

// loggedIn logs in once, and gives the repository to the checks that need a login.
func (s *Site) loggedIn(ctx context.Context) (name.Repository, *Finding) {
	repository, err := s.repository()
	if err == nil {
		_, err = s.greeted(ctx)
	}
	if err != nil {
		found := skipped("the registry does not answer a trusted greeting")
		return repository, &found
	}
	who, err := s.login.get(ctx, s.limit, func(ctx context.Context) (string, error) { return s.Images.Login(ctx, repository) })
	if err != nil || strings.HasPrefix(who, "nobody") {
		found := skipped("there is no login that the registry accepts: registry-login")
		return repository, &found
	}
	return repository, nil
}

func registryLogin(ctx context.Context, s *Site) Finding {
	repository, err := s.repository()
	if err == nil {
		_, err = s.greeted(ctx)
	}
	if err != nil {
		return skipped("the registry does not answer a trusted greeting")
	}
	const fix = "set REGISTRY_USERNAME and REGISTRY_PASSWORD, or log in with docker login"
	who, err := s.login.get(ctx, s.limit, func(ctx context.Context) (string, error) { return s.Images.Login(ctx, repository) })
	switch {
	case err != nil && slipway.AsError(err).Code == slipway.Unknown:
		return silent(err)
	case err != nil:
		return missing("%s", oneLine(err)).with(fix)
	case strings.HasPrefix(who, "nobody"):
		return warning("it answers without a login, and none is given").with(fix)
	}
	return ok("as %s", who)
}

// refusedOr is missing where the registry said no, and silent where it said nothing.
func refusedOr(err error) Finding {
	known := slipway.AsError(err)
	if known.Code == slipway.Unknown {
		return silent(err)
	}
	return missing("%s", oneLine(err)).with("%s", known.Hint)
}

func registryPush(ctx context.Context, s *Site) Finding {
	repository, lacking := s.loggedIn(ctx)
	if lacking != nil {
		return *lacking
	}
	if err := s.Images.MayPush(ctx, repository); err != nil {
		found := refusedOr(err)
		if found.State == Missing {
			found.Fix = "grant the account the right to push to " + repository.String()
		}
		return found
	}
	return ok("to %s", repository)
}

func registryTags(ctx context.Context, s *Site) Finding {
	repository, lacking := s.loggedIn(ctx)
	if lacking != nil {
		return *lacking
	}
	tags, err := s.Images.Pages(ctx, repository)
	switch known := slipway.AsError; {
	case err == nil:
		return ok("%s", counted(tags, "tag"))
	case known(err).Code == slipway.No:
		return ok("the repository is empty: no release was pushed yet")
	case known(err).Code == slipway.Usage:
		return missing("%s", oneLine(err)).with("grant the account the right to pull from %s", repository)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return silent(err)
	default:
		return missing("%s", oneLine(err)).with("name the registry itself instead of a proxy before it; in Nexus: update it, and name the " +
			"port of the repository's own connector")
	}
}

func registryReferrers(ctx context.Context, s *Site) Finding {
	repository, lacking := s.loggedIn(ctx)
	if lacking != nil {
		return *lacking
	}
	keeps, err := s.Images.KeepsReferrers(ctx, repository)
	switch {
	case err != nil:
		return refusedOr(err)
	case !keeps:
		return ok("it has no referrers API: evidence is found by its tags")
	}
	return ok("it has the referrers API")
}

// tried pushes the test artifact once.
func (s *Site) tried(ctx context.Context) (registry.Trial, *Finding) {
	if !s.ProbeRegistry {
		found := skipped("it pushes an artifact of a few bytes, and deletes it again where that is allowed: give --probe-registry")
		return registry.Trial{}, &found
	}
	repository, lacking := s.loggedIn(ctx)
	if lacking != nil {
		return registry.Trial{}, lacking
	}
	trial, err := s.trial.get(ctx, s.limit, func(ctx context.Context) (registry.Trial, error) { return s.Images.Try(ctx, repository) })
	if err != nil {
		found := refusedOr(err)
		return trial, &found
	}
	return trial, nil
}

func registryArtifact(ctx context.Context, s *Site) Finding {
	trial, lacking := s.tried(ctx)
	switch {
	case lacking != nil:
		return *lacking
	case trial.Pushed != nil:
		return refusedOr(trial.Pushed)
	}
	return ok("%s", trial.Tag)
}

func registryEvidence(ctx context.Context, s *Site) Finding {
	trial, lacking := s.tried(ctx)
	switch {
	case lacking != nil:
		return *lacking
	case trial.Pushed != nil:
		return skipped("nothing could be pushed: registry-artifact")
	case trial.Evidence != nil:
		return missing("%s", oneLine(trial.Evidence)).with("let the repository take OCI artifacts, and tags of the form sha256-HEX")
	}
	return ok("attached and read again")
}

func registryRedeploy(ctx context.Context, s *Site) Finding {
	trial, lacking := s.tried(ctx)
	switch {
	case lacking != nil:
		return *lacking
	case trial.Pushed != nil:
		return skipped("nothing could be pushed: registry-artifact")
	case trial.Redeployed:
		return warning("the tag %s could be moved to another artifact", trial.Tag).
			with("in Nexus set the repository's deployment policy to Disable redeploy; elsewhere make tags immutable")
	}
	return ok("the registry refused to move the tag")
}

func registryDelete(ctx context.Context, s *Site) Finding {
	trial, lacking := s.tried(ctx)
	switch {
	case lacking != nil:
		return *lacking
	case trial.Pushed != nil:
		return skipped("nothing could be pushed: registry-artifact")
	case trial.Deleted:
		return warning("the login deleted the artifact that it had pushed").
			with("take the right to delete from the account that pushes; let a clean-up policy of the registry delete what is old")
	}
	return ok("the registry refused to delete; the artifact %s stays", trial.Tag)
}

func registryNodeLogin(ctx context.Context, s *Site) Finding {
	if s.NoKube != "" {
		return skipped("%s", s.NoKube)
	}
	repository, err := s.repository()
	if err == nil {
		_, err = s.greeted(ctx)
	}
	if err != nil {
		return skipped("the registry does not answer a trusted greeting")
	}
	object, err := s.get(ctx, secrets, s.space("prod"), pullSecretName)
	if err != nil {
		return unanswered(err)
	}
	config, why := readPull(object)
	user, password := config.login(repository.RegistryStr())
	if why != "" || user == "" {
		return skipped("the Secret %s of %s has no login for it: pull-secret", pullSecretName, s.space("prod"))
	}
	options := s.ImageOptions
	options.Username, options.Password = user, password
	client, err := registry.New(options)
	if err != nil {
		return silent(err)
	}
	if _, err := client.Login(ctx, repository); err != nil {
		found := refusedOr(err)
		found.Fix = "renew the Secret as step 4 of the README does"
		return found
	}
	if err := client.MayPush(ctx, repository); err == nil {
		return warning("the account %s may push to %s", user, repository).
			with("give the nodes an account that may pull only, and renew the Secret as step 4 of the README does")
	}
	return ok("as %s", user)
}

func registryQuarantine(ctx context.Context, s *Site) Finding {
	if s.Quarantine == "" {
		return warning("none is given: images cross from the build to the delivery as a stash, through Jenkins' disk").
			with("make a repository that only builds push to, and set SLIPWAY_QUARANTINE to it in docs/jenkins.yaml")
	}
	repository, err := s.Images.Repository(s.Quarantine)
	if err != nil {
		return missing("%s", oneLine(err)).with("give --quarantine REGISTRY/REPOSITORY")
	}
	if releases, err := s.repository(); err == nil && releases.RegistryStr() == repository.RegistryStr() {
		if _, lacking := s.loggedIn(ctx); lacking != nil {
			return *lacking
		}
	}
	if err := s.Images.MayPush(ctx, repository); err != nil {
		found := refusedOr(err)
		if found.State == Missing {
			found.Fix = fmt.Sprintf("make the repository %s, and grant the account the right to push", repository)
		}
		return found
	}
	if releases, err := s.repository(); err == nil && releases.RegistryStr() != repository.RegistryStr() {
		return warning("it is in another registry than the releases: layers are sent again instead of mounted").
			with("put both repositories into one registry")
	}
	return ok("%s", repository)
}
