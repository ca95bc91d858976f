package check

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"slipway.dev/slipway/helpers/internal/kube"
)

type schemaKind = schema.GroupVersionResource

var rightsChecks = []Check{
	{"rights-controller", Cluster, "the account jenkins of each agents' namespace may do what the Kubernetes plugin needs",
		"Jenkins cannot start agents, or follow them",
		func(ctx context.Context, s *Site) Finding { return s.granted(ctx, ":jenkins") }},
	{"rights-delivery", Cluster, "the accounts that deliver may do what the helpers need",
		"a release fails in the middle, at the first request that is refused",
		func(ctx context.Context, s *Site) Finding { return s.granted(ctx, ":slipway-") }},
	{"rights-reaper", Cluster, "the account canary-reaper may undo a canary",
		"a canary whose pipeline died keeps its traffic",
		func(ctx context.Context, s *Site) Finding { return s.granted(ctx, ":canary-reaper") }},
	{"rights-apart", Cluster, "no account of an agent may change another environment",
		"who may push to a branch could change production", accountsApart},
	{"rights-build", Cluster, "the pods that build have no rights",
		"the repository's own code runs there, of any branch", buildersPowerless},
}

// granted asks for each verb that the RoleBindings of the manifests give to the accounts with this in their name.
func (s *Site) granted(ctx context.Context, account string) Finding {
	spaces, err := s.allSpaces(ctx)
	if err != nil {
		return unanswered(err)
	}
	var wanted []grant
	for _, each := range grants(s.manifests) {
		if spaces[each.namespace] != nil && strings.Contains(each.account[strings.LastIndex(each.account, ":"):], account) {
			wanted = append(wanted, each)
		}
	}
	refused, err := s.review(ctx, wanted, false)
	if err != nil {
		return unanswered(err)
	}
	if len(refused) == 0 {
		return ok("%d verbs granted", len(wanted))
	}
	var changes []Change
	for _, object := range s.manifests {
		if (object.GetKind() == "Role" || object.GetKind() == "RoleBinding") && slices.ContainsFunc(refused, func(g grant) bool {
			return g.namespace == object.GetNamespace() && binds(object, g, s.manifests)
		}) {
			changes = append(changes, creation(object))
		}
	}
	return missing("%s", byAccount(refused, "may not")).with("%s", s.applies()).changing(changes...)
}

// binds says whether an object of the manifests gives what the grant asks for: its RoleBinding, or that one's Role.
func binds(object *unstructured.Unstructured, wanted grant, manifests []*unstructured.Unstructured) bool {
	return slices.ContainsFunc(manifests, func(binding *unstructured.Unstructured) bool {
		if binding.GetKind() != "RoleBinding" || binding.GetNamespace() != wanted.namespace {
			return false
		}
		role, _, _ := unstructured.NestedString(binding.Object, "roleRef", "name")
		mine := object.GetKind() == "RoleBinding" && object.GetName() == binding.GetName() ||
			object.GetKind() == "Role" && object.GetName() == role
		pair := []*unstructured.Unstructured{binding, find(manifests, "Role", binding.GetNamespace(), role)}
		return mine && slices.Contains(grants(pair), wanted)
	})
}

func find(objects []*unstructured.Unstructured, kind, namespace, name string) *unstructured.Unstructured {
	for _, object := range objects {
		if object.GetKind() == kind && object.GetNamespace() == namespace && object.GetName() == name {
			return object
		}
	}
	return &unstructured.Unstructured{Object: map[string]any{}}
}

// byAccount says it in one sentence: each account with its verbs.
func byAccount(found []grant, may string) string {
	var order []string
	verbs := map[string][]string{}
	for _, each := range found {
		who := strings.TrimPrefix(each.account, "system:serviceaccount:") + " " + may + " in " + each.namespace
		if len(verbs[who]) == 0 {
			order = append(order, who)
		}
		verbs[who] = append(verbs[who], each.String())
	}
	var lines []string
	for _, who := range order {
		lines = append(lines, who+": "+all(verbs[who]))
	}
	return strings.Join(lines, "; ")
}

const reviewsAtOnce = 8

// review asks the API server for each right, and gives those that are answered with the opposite of what is expected.
func (s *Site) review(ctx context.Context, asked []grant, expect bool) ([]grant, error) {
	if _, err := s.api(ctx); err != nil {
		return nil, err
	}
	answers := make([]bool, len(asked))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(reviewsAtOnce)
	for i, each := range asked {
		group.Go(func() (err error) {
			answers[i], err = s.may(ctx, each)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var other []grant
	for i, each := range asked {
		if answers[i] == expect {
			other = append(other, each)
		}
	}
	return other, nil
}

// may asks whether an account has a right. Who may not ask about others asks about itself.
func (s *Site) may(ctx context.Context, wanted grant) (bool, error) {
	attributes := map[string]any{"namespace": wanted.namespace, "verb": wanted.verb, "group": wanted.group,
		"resource": wanted.resource, "subresource": wanted.subresource, "name": wanted.name}
	allowed, err := s.accessReview(ctx, "SubjectAccessReview", map[string]any{"user": wanted.account,
		"groups":             groupsOf(wanted.account),
		"resourceAttributes": attributes})
	if !kube.IsDenied(err) {
		return allowed, err
	}
	me, selfErr := s.me(ctx)
	if selfErr != nil || me != wanted.account {
		return false, err
	}
	return s.accessReview(ctx, "SelfSubjectAccessReview", map[string]any{"resourceAttributes": attributes})
}

// groupsOf are the groups that the API server puts a ServiceAccount into.
func groupsOf(account string) []any {
	parts := strings.Split(account, ":")
	return []any{"system:serviceaccounts", "system:serviceaccounts:" + parts[2], "system:authenticated"}
}

func (s *Site) accessReview(ctx context.Context, kind string, spec map[string]any) (bool, error) {
	resource := schemaKind{Group: "authorization.k8s.io", Version: "v1", Resource: strings.ToLower(kind) + "s"}
	answer, err := s.Cluster.Dynamic().Resource(resource).Create(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}}, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	allowed, said, _ := unstructured.NestedBool(answer.Object, "status", "allowed")
	if !said {
		return false, errors.New("the API server's answer has no status.allowed")
	}
	return allowed, nil
}

// me is the name by which the API server knows who asks.
func (s *Site) me(ctx context.Context) (string, error) {
	return s.user.get(ctx, s.limit, func(ctx context.Context) (string, error) {
		resource := schemaKind{Group: "authentication.k8s.io", Version: "v1", Resource: "selfsubjectreviews"}
		answer, err := s.Cluster.Dynamic().Resource(resource).Create(ctx, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}}, metav1.CreateOptions{})
		if err != nil {
			return "", err
		}
		name, _, err := unstructured.NestedString(answer.Object, "status", "userInfo", "username")
		return name, err
	})
}

// mighty are the requests by which an account could change an environment.
func mighty(account, namespace string) []grant {
	return []grant{
		{account: account, namespace: namespace, verb: "create", resource: "pods"},
		{account: account, namespace: namespace, verb: "get", resource: "secrets"},
		{account: account, namespace: namespace, verb: "patch", group: "apps", resource: "deployments"},
		{account: account, namespace: namespace, verb: "create", group: "rbac.authorization.k8s.io", resource: "rolebindings"},
		{account: account, namespace: namespace, verb: "create", resource: "serviceaccounts", subresource: "token"},
	}
}

// accountsApart asks for every account of the manifests about every namespace in which they give it nothing.
func accountsApart(ctx context.Context, s *Site) Finding {
	given := grants(s.manifests)
	var asked []grant
	for _, object := range s.manifests {
		if object.GetKind() != "ServiceAccount" {
			continue
		}
		account := "system:serviceaccount:" + object.GetNamespace() + ":" + object.GetName()
		for _, namespace := range s.spaces() {
			if !slices.ContainsFunc(given, func(g grant) bool { return g.account == account && g.namespace == namespace }) {
				asked = append(asked, mighty(account, namespace)...)
			}
		}
	}
	return s.tooMighty(ctx, asked, "nobody beside %d requests")
}

// buildersPowerless asks about the account that a pod has that names none.
func buildersPowerless(ctx context.Context, s *Site) Finding {
	builds := s.space("jenkins-build")
	if !slices.Contains(s.spaces(), builds) {
		return skipped("the part build is not checked")
	}
	var asked []grant
	for _, namespace := range s.spaces() {
		asked = append(asked, mighty("system:serviceaccount:"+builds+":default", namespace)...)
	}
	return s.tooMighty(ctx, asked, "none of %d requests is granted")
}

func (s *Site) tooMighty(ctx context.Context, asked []grant, fine string) Finding {
	granted, err := s.review(ctx, asked, true)
	if err != nil {
		return unanswered(err)
	}
	if len(granted) > 0 {
		return missing("%s", byAccount(granted, "may")).
			with("kubectl get rolebindings,clusterrolebindings -A -o wide | grep -E '%s', and delete the binding that is too much",
				strings.Join(namesOf(granted), "|"))
	}
	return ok(fine, len(asked))
}

func namesOf(found []grant) (names []string) {
	for _, each := range found {
		names = append(names, fmt.Sprint(strings.ReplaceAll(strings.TrimPrefix(each.account, "system:serviceaccount:"), ":", "/")))
	}
	slices.Sort(names)
	return slices.Compact(names)
}
