package check

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"slipway.dev/slipway/helpers/internal/approved"
)

var guardChecks = []Check{
	{"guard-policies", Guard, "the ValidatingAdmissionPolicies of k8s/guard are there, as they are in this version",
		"who may change Deployments can run any image in production", guardPolicies},
	{"guard-bindings", Guard, "the bindings of k8s/guard are there, as they are in this version",
		"a policy without its binding refuses nothing", guardBindings},
	{"guard-label", Guard, "the production namespace has the label slipway.dev/guard",
		"the policies act in namespaces with this label only", guardLabel},
	{"guard-account", Guard, "the account that the guard lets deliver is the one that delivers",
		"the guard refuses every release", guardAccount},
	{"approved-list", Guard, "a guarded namespace has the list of approved images",
		"a namespace that enforces admits no image without it", approvedList},
	{"approved-images", Guard, "the guard admits what runs in the production namespace",
		"a pod that has to be made again is refused", approvedImages},
	{"break-glass", Guard, "nobody went past the guard unacknowledged",
		"an image or route is in production that nobody approved", brokenGlass},
}

func guardPolicies(ctx context.Context, s *Site) Finding {
	return s.guardObjects(ctx, policies, "ValidatingAdmissionPolicy")
}

func guardBindings(ctx context.Context, s *Site) Finding {
	return s.guardObjects(ctx, applied, "ValidatingAdmissionPolicyBinding")
}

func (s *Site) guardObjects(ctx context.Context, kind schemaKind, name string) Finding {
	found, err := s.list(ctx, kind, "")
	if err != nil {
		return unanswered(err)
	}
	wanted, err := Manifests("guard", s.Rename, "")
	if err != nil {
		return silent(err)
	}
	var absent, other []string
	counted := 0
	for _, object := range wanted {
		if object.GetKind() != name {
			continue
		}
		counted++
		at := slices.IndexFunc(found, func(o unstructured.Unstructured) bool { return o.GetName() == object.GetName() })
		switch {
		case at < 0:
			absent = append(absent, object.GetName())
		case !within(plain(object.Object["spec"]), plain(found[at].Object["spec"])):
			other = append(other, object.GetName())
		}
	}
	fix := "kubectl apply -k k8s/guard"
	if len(absent) > 0 {
		return missing("there is no %s %s", name, all(absent)).with("%s", fix)
	}
	if len(other) > 0 {
		return missing("the %s %s is not that of this version", name, all(other)).with("kubectl diff -k k8s/guard; %s", fix)
	}
	return ok("%d as in this version", counted)
}

// within says whether an object has all that was applied. The API server adds its defaults, and lists keep their length.
func within(wanted, found any) bool {
	switch wanted := wanted.(type) {
	case map[string]any:
		there, is := found.(map[string]any)
		for key, value := range wanted {
			if !is || !within(value, there[key]) {
				return false
			}
		}
		return is
	case []any:
		there, is := found.([]any)
		if !is || len(there) != len(wanted) {
			return false
		}
		for i := range wanted {
			if !within(wanted[i], there[i]) {
				return false
			}
		}
		return true
	case string: // kustomize writes other line breaks into an expression that is folded over lines; to CEL they are blanks
		there, is := found.(string)
		return is && slices.Equal(strings.Fields(wanted), strings.Fields(there))
	}
	return wanted == found
}

// guarded are the production namespaces that the site has. Staging may be guarded too, and need not.
func (s *Site) guarded(ctx context.Context) (map[string]*unstructured.Unstructured, *Finding) {
	if !slices.Contains(s.Parts, "prod") {
		found := skipped("the part prod is not checked")
		return nil, &found
	}
	there, err := s.allSpaces(ctx)
	if err != nil {
		found := unanswered(err)
		return nil, &found
	}
	chosen := map[string]*unstructured.Unstructured{}
	for _, name := range s.services() {
		if space := there[name]; space != nil && (name == s.space("prod") || space.GetLabels()[approved.Label] != "") {
			chosen[name] = space
		}
	}
	if len(chosen) == 0 {
		found := skipped("the namespace %s does not exist", s.space("prod"))
		return nil, &found
	}
	return chosen, nil
}

func guardLabel(ctx context.Context, s *Site) Finding {
	found, denied := s.guarded(ctx)
	if denied != nil {
		return *denied
	}
	name := s.space("prod")
	if found[name] == nil {
		return skipped("the namespace %s does not exist", name)
	}
	switch mode := found[name].GetLabels()[approved.Label]; mode {
	case "enforce":
		return ok("enforce in %s", name)
	case "warn":
		return warning("%s has %s=warn: what is not approved is warned of, and runs", name, approved.Label).
			with("slipway guard status -n %s; kubectl label --overwrite namespace %s %s=enforce", name, name, approved.Label)
	case "":
		return warning("%s has no label %s", name, approved.Label).
			with("kubectl label namespace %s %s=warn", name, approved.Label).
			changing(labelling(name, map[string]string{approved.Label: "warn"}))
	default:
		return missing("%s has %s=%s, which is neither warn nor enforce", name, approved.Label, mode).
			with("kubectl label --overwrite namespace %s %s=warn", name, approved.Label).
			changing(labelling(name, map[string]string{approved.Label: "warn"}))
	}
}

// guardDefault is the account that the policies let deliver where the namespace's annotation names none.
const guardDefault = "system:serviceaccount:jenkins-prod:slipway-prod"

func guardAccount(ctx context.Context, s *Site) Finding {
	found, denied := s.guarded(ctx)
	if denied != nil {
		return *denied
	}
	var other, fixes []string
	for _, name := range slices.Sorted(maps.Keys(found)) {
		account := guardDefault
		if named := found[name].GetAnnotations()["slipway.dev/guard-account"]; named != "" {
			account = named
		}
		if found[name].GetLabels()[approved.Label] == "" {
			continue
		}
		if wanted := s.deliverer(name); wanted != "" && account != wanted {
			other = append(other, fmt.Sprintf("the guard of %s lets %s deliver, and %s is bound there", name, account, wanted))
			fixes = append(fixes, fmt.Sprintf("kubectl annotate --overwrite namespace %s slipway.dev/guard-account=%s", name, wanted))
		}
	}
	if len(other) > 0 {
		return missing("%s", all(other)).with("%s", strings.Join(fixes, "; "))
	}
	return ok("of %d namespaces", len(found))
}

// deliverer is the account to which the manifests bind the Role slipway in a namespace.
func (s *Site) deliverer(namespace string) string {
	for _, each := range grants(s.manifests) {
		if each.namespace == namespace && strings.Contains(each.account, ":slipway-") {
			return each.account
		}
	}
	return ""
}

func approvedList(ctx context.Context, s *Site) Finding {
	found, denied := s.guarded(ctx)
	if denied != nil {
		return *denied
	}
	var lacking []string
	var changes []Change
	counted := 0
	for _, name := range slices.Sorted(maps.Keys(found)) {
		mode := found[name].GetLabels()[approved.Label]
		if mode == "" {
			continue
		}
		counted++
		object, err := s.get(ctx, configMaps, name, approved.Name)
		if err != nil {
			return unanswered(err)
		}
		if object != nil {
			continue
		}
		lacking = append(lacking, name)
		if mode != "enforce" { // there an administrator approves what runs first: slipway guard approve
			list := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap",
				"data": map[string]any{approved.Others: ""}}}
			list.SetName(approved.Name)
			list.SetNamespace(name)
			changes = append(changes, creation(list))
		}
	}
	if len(lacking) > 0 {
		return missing("there is no ConfigMap %s in %s", approved.Name, all(lacking)).
			with("slipway guard approve -n %s", lacking[0]).changing(changes...)
	}
	return ok("in %d guarded namespaces", counted)
}

// survey looks at each guarded namespace; what has no label is looked at as well, for what a guard would say.
func (s *Site) survey(ctx context.Context) (map[string]approved.Survey, *Finding) {
	found, denied := s.guarded(ctx)
	if denied != nil {
		return nil, denied
	}
	surveys, err := s.surveys.get(ctx, s.limit, func(ctx context.Context) (map[string]approved.Survey, error) {
		all := map[string]approved.Survey{}
		for name := range found {
			cluster := *s.Cluster
			cluster.Namespace = name
			survey, err := approved.Look(ctx, &cluster)
			if err != nil {
				return nil, err
			}
			all[name] = survey
		}
		return all, nil
	})
	if err != nil {
		failed := unanswered(err)
		return nil, &failed
	}
	return surveys, nil
}

func approvedImages(ctx context.Context, s *Site) Finding {
	surveys, denied := s.survey(ctx)
	if denied != nil {
		return *denied
	}
	var refused []string
	enforces, which := false, ""
	for _, name := range slices.Sorted(maps.Keys(surveys)) {
		if !surveys[name].List || surveys[name].Mode == "" {
			continue // approved-list and guard-label say it
		}
		for _, each := range surveys[name].Refused {
			refused = append(refused, fmt.Sprintf("%s/%s %s: %s", name, each.Object, each.Image, each.Why))
			which, enforces = name, enforces || surveys[name].Mode == "enforce"
		}
	}
	if len(refused) == 0 {
		return ok("in %d namespaces", len(surveys))
	}
	found := warning("the guard would refuse %s", all(refused))
	if enforces {
		found = missing("the guard refuses %s", all(refused))
	}
	return found.with("name it by its digest in its manifest; slipway guard approve -n %s", which)
}

func brokenGlass(ctx context.Context, s *Site) Finding {
	surveys, denied := s.survey(ctx)
	if denied != nil {
		return *denied
	}
	var broken []string
	var fix string
	for _, name := range slices.Sorted(maps.Keys(surveys)) {
		for _, each := range surveys[name].Broken {
			broken = append(broken, fmt.Sprintf("%s of %s (%s)", each.Object, name, each.Why))
			fix = fmt.Sprintf("kubectl annotate -n %s %s %s-", name, each.Object, approved.BreakGlass)
		}
	}
	if len(broken) > 0 {
		return warning("%s has the annotation %s", all(broken), approved.BreakGlass).with("see what was done, then acknowledge it: %s", fix)
	}
	return ok("in %d namespaces", len(surveys))
}
