package check

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/gate"
	"slipway.dev/slipway/helpers/internal/policy"
	"slipway.dev/slipway/helpers/internal/registry"
)

var policyChecks = []Check{
	{"policy-present", Policy, "the site has a policy for production",
		"the call decides what a release needs, and one named user approves", policyPresent},
	{"policy-valid", Policy, "the policy has no mistakes: people who can approve, a time that is open",
		"no production run starts", policyValid},
	{"policy-keys", Policy, "evidence must be signed, by keys that are beside the policy and can be read",
		"who may push to the registry can write evidence", onPolicy(keysOf)},
	{"policy-approvers", Policy, "the policy names who approves migrations and promotions",
		"every user of Jenkins who may build the job approves", onPolicy(func(p *policy.Site) Finding { return approversOf(p.Production) })},
	{"policy-waivers", Policy, "no waiver has ended, or ends within a week", "the next build with that finding is refused", waiversHold},
}

// loaded is the policy, with the folder that it is in. site is nil where there is none, or where it is wrong.
type loaded struct {
	where string
	site  *policy.Site
	wrong error
	waive []string // files of waivers
}

// policyOf reads the file of --policy, or the ConfigMap of the cluster.
func (s *Site) policyOf(ctx context.Context) (loaded, error) {
	return s.policy.get(ctx, s.limit, func(ctx context.Context) (loaded, error) {
		if s.PolicyFile != "" {
			found := loaded{where: s.PolicyFile, waive: append(slices.Clone(s.Waivers), filepath.Join(filepath.Dir(s.PolicyFile), "waivers.yaml"))}
			if _, err := os.Stat(s.PolicyFile); err == nil {
				found.site, found.wrong = policy.Load(s.PolicyFile)
			}
			return found, nil
		}
		namespace := s.space("jenkins-prod")
		object, err := s.get(ctx, configMaps, namespace, "slipway-policy")
		found := loaded{where: "the ConfigMap slipway-policy of " + namespace, waive: s.Waivers}
		if err != nil || object == nil {
			return found, err
		}
		folder, err := s.unpacked(object)
		if err != nil {
			return found, err
		}
		found.waive = append(slices.Clone(s.Waivers), filepath.Join(folder, "waivers.yaml"))
		file := filepath.Join(folder, "policy.yaml")
		if _, err := os.Stat(file); err == nil {
			found.site, found.wrong = policy.Load(file)
		}
		return found, nil
	})
}

// unpacked writes a ConfigMap into a folder, as a pod would find it.
func (s *Site) unpacked(object *unstructured.Unstructured) (string, error) {
	folder, err := os.MkdirTemp("", "slipway-check")
	if err != nil {
		return "", err
	}
	s.folders = append(s.folders, folder)
	data, _, _ := unstructured.NestedStringMap(object.Object, "data")
	for name, text := range data {
		if name != filepath.Base(name) { // the API server takes no such key
			continue
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	return folder, nil
}

func policyPresent(ctx context.Context, s *Site) Finding {
	found, err := s.policyOf(ctx)
	switch {
	case err != nil:
		return unanswered(err)
	case found.site == nil && found.wrong == nil:
		return warning("there is no %s", strings.TrimPrefix(found.where, "the ")).
			with("write policy.yaml as docs/policy.md says, then: kubectl create configmap slipway-policy -n %s --from-file=policy.yaml",
				s.space("jenkins-prod"))
	}
	return ok("%s", found.where)
}

func policyValid(ctx context.Context, s *Site) Finding {
	found, err := s.policyOf(ctx)
	switch {
	case err != nil:
		return unanswered(err)
	case found.wrong != nil && !aboutKeys(found.wrong):
		var mistakes policy.Mistakes
		errors.As(found.wrong, &mistakes)
		return missing("%s has %s: %s", found.where, counted(len(mistakes), "mistake"), slipway.AsError(found.wrong).Why).
			with("correct policy.yaml until slipway policy check policy.yaml finds nothing, then replace the ConfigMap")
	case found.site == nil && found.wrong == nil:
		return skipped("there is no policy: policy-present")
	}
	return ok("%s", found.where)
}

func aboutKeys(err error) bool { return about(err, "names a key that cannot be read") }

// onPolicy makes a check of a judgement about a policy that is there and valid.
func onPolicy(judge func(*policy.Site) Finding) func(context.Context, *Site) Finding {
	return func(ctx context.Context, s *Site) Finding {
		found, err := s.policyOf(ctx)
		switch {
		case err != nil:
			return unanswered(err)
		case aboutKeys(found.wrong):
			if finding := judge(&policy.Site{}); finding.Found == unsigned { // the check of keys
				return missing("%s", oneLine(found.wrong)).with("%s", slipway.AsError(found.wrong).Hint)
			}
			return skipped("a key of the policy cannot be read: policy-keys")
		case found.site == nil:
			return skipped("there is no valid policy")
		}
		return judge(found.site)
	}
}

const unsigned = "production.evidence.keys is empty: evidence counts without a signature"

func keysOf(p *policy.Site) Finding {
	if len(p.Keys()) == 0 {
		return warning(unsigned).
			with("cosign generate-key-pair, then name cosign.pub in evidence.keys, beside the policy; docs/registry.md has the steps")
	}
	if _, err := registry.ReadPublicKey(p.Keys()...); err != nil {
		return missing("%s", oneLine(err)).with("put a public key of cosign or openssl, ECDSA on P-256, into the ConfigMap")
	}
	return ok("%s", counted(len(p.Keys()), "key"))
}

func approversOf(p policy.Production) Finding {
	var open []string
	for _, what := range []string{policy.Migration, policy.Promotion} {
		if len(p.Approvals[what].From) == 0 {
			open = append(open, "production.approvals."+what+".from")
		}
	}
	if len(open) > 0 {
		return warning("%s is empty", all(open)).with("name user ids or groups there")
	}
	return ok("named")
}

func waiversHold(ctx context.Context, s *Site) Finding {
	found, err := s.policyOf(ctx)
	if err != nil {
		return unanswered(err)
	}
	waivers, warnings, err := gate.Read(found.waive, time.Now())
	switch {
	case err != nil:
		return missing("%s", oneLine(err)).with("%s", slipway.AsError(err).Hint)
	case len(warnings) > 0:
		return warning("%s", all(warnings)).with("raise the package to a version without the finding, or give the waiver a later end")
	}
	return ok("%s", counted(len(waivers), "waiver"))
}
