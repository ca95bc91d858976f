package check

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

var networkChecks = []Check{
	{"pull-secret", Cluster, "the Secret nexus-pull is in each namespace, with a login",
		"nodes cannot pull the images of agents and of the service", pullSecret},
	{"pull-secret-registry", Cluster, "the Secret nexus-pull has a login for the registry of --registry",
		"nodes ask the registry without a login, and are refused", pullSecretRegistry},
	{"registry-ca", Cluster, "the authority of --ca-file is in the ConfigMap registry-ca of the agents that deliver",
		"the helpers in the agents' pods do not trust the registry's certificate", registryAuthority},
	{"network-policies", Cluster, "the NetworkPolicies of k8s/site are there, as they are in this version",
		"the repository's own code could reach databases and other services", networkPolicies},
	{"network-deny-service", Cluster, "the production namespace denies the traffic that no NetworkPolicy allows",
		"any pod of the cluster can reach the production database", denyService},
	{"network-enforced", Cluster, "the cluster enforces NetworkPolicies (asked by two pods, with --probe-network)",
		"with a network plug-in that ignores them, the policies protect nothing", networkEnforced},
	{"images-pulled", Cluster, "a node pulls the images of the pod templates (asked by a pod, with --probe-images)",
		"an agent's pod never starts: ErrImagePull", imagesPulled},
}

const pullSecretName = "nexus-pull"

// dockerConfig is what a Secret of the type kubernetes.io/dockerconfigjson holds.
type dockerConfig struct {
	Auths map[string]struct{ Auth, Username, Password string }
}

// login is the one that a node would take for the registry.
func (c dockerConfig) login(host string) (user, password string) {
	for entry, login := range c.Auths {
		if !entryIs(entry, host) {
			continue
		}
		if login.Username != "" {
			return login.Username, login.Password
		}
		if both, err := base64.StdEncoding.DecodeString(login.Auth); err == nil {
			user, password, _ = strings.Cut(string(both), ":")
			return user, password
		}
	}
	return "", ""
}

// readPull gives the logins of a pull Secret by registry, or says why it has none.
func readPull(object *unstructured.Unstructured) (dockerConfig, string) {
	var config dockerConfig
	if object == nil {
		return config, "there is no Secret " + pullSecretName
	}
	var secret struct {
		Type string
		Data map[string][]byte
	}
	decode(object, &secret)
	body := secret.Data[".dockerconfigjson"]
	switch {
	case secret.Type != "kubernetes.io/dockerconfigjson":
		return config, fmt.Sprintf("the Secret %s has the type %s, which no node reads", pullSecretName, secret.Type)
	case json.Unmarshal(body, &config) != nil:
		return config, "the key .dockerconfigjson of the Secret " + pullSecretName + " is no JSON"
	case len(config.Auths) == 0:
		return config, "the Secret " + pullSecretName + " has no login"
	}
	return config, ""
}

// pulls reads the pull Secret of every namespace, and gives a finding about those in which judge has something to say.
func (s *Site) pulls(ctx context.Context, judge func(dockerConfig, string) string, fine string) Finding {
	var lacking []string
	said := map[string][]string{}
	spaces, err := s.allSpaces(ctx)
	if err != nil {
		return unanswered(err)
	}
	for namespace := range spaces {
		object, err := s.get(ctx, secrets, namespace, pullSecretName)
		if err != nil {
			return unanswered(err)
		}
		if why := judge(readPull(object)); why != "" {
			said[why] = append(said[why], namespace)
		}
	}
	for _, why := range slices.Sorted(maps.Keys(said)) {
		slices.Sort(said[why])
		lacking = append(lacking, why+" in "+all(said[why]))
	}
	if len(lacking) > 0 {
		return missing("%s", strings.Join(lacking, "; ")).with("follow step 4 of the README: kubectl create secret generic %s -n NAMESPACE "+
			"--type=kubernetes.io/dockerconfigjson --from-file=.dockerconfigjson=/dev/stdin", pullSecretName)
	}
	return ok(fine, len(s.spaces()))
}

func pullSecret(ctx context.Context, s *Site) Finding {
	return s.pulls(ctx, func(_ dockerConfig, why string) string { return why }, "in %d namespaces")
}

func pullSecretRegistry(ctx context.Context, s *Site) Finding {
	host := s.Host
	if host == "" {
		return skipped("no registry is given: --registry REGISTRY/REPOSITORY")
	}
	return s.pulls(ctx, func(config dockerConfig, why string) string {
		if why != "" || covers(config, host) { // what the Secret itself lacks is said by pull-secret
			return ""
		}
		return fmt.Sprintf("the Secret %s has no login for %s, but for %s", pullSecretName, host,
			all(slices.Sorted(maps.Keys(config.Auths))))
	}, "of %d namespaces")
}

// covers says whether a node finds a login for the registry.
func covers(config dockerConfig, host string) bool {
	for entry := range config.Auths {
		if entryIs(entry, host) {
			return true
		}
	}
	return false
}

// entryIs says whether an entry is for the registry: the kubelet takes one with or without a scheme or path, and with a star.
// https://kubernetes.io/docs/concepts/containers/images/#config-json
func entryIs(entry, host string) bool {
	entry = strings.TrimPrefix(strings.TrimPrefix(entry, "https://"), "http://")
	if entry, _, _ = strings.Cut(entry, "/"); entry == host {
		return true
	}
	domain, star := strings.CutPrefix(entry, "*.")
	first, rest, dotted := strings.Cut(host, ".")
	return star && dotted && first != "" && rest == domain
}

func registryAuthority(ctx context.Context, s *Site) Finding {
	if s.CAFile == "" {
		return skipped("no authority is given: --ca-file FILE, where the registry has one of its own")
	}
	var lacking []string
	spaces, err := s.allSpaces(ctx)
	if err != nil {
		return unanswered(err)
	}
	for _, namespace := range s.agents() {
		if namespace == s.space("jenkins-build") || spaces[namespace] == nil {
			continue
		}
		object, err := s.get(ctx, configMaps, namespace, "registry-ca")
		if err != nil {
			return unanswered(err)
		}
		if object != nil {
			text, _, _ := unstructured.NestedString(object.Object, "data", "ca.crt")
			if strings.Contains(text, "-----BEGIN CERTIFICATE-----") {
				continue
			}
		}
		lacking = append(lacking, namespace)
	}
	if len(lacking) > 0 {
		return missing("there is no ConfigMap registry-ca with the key ca.crt in %s", all(lacking)).
			with("kubectl create configmap registry-ca -n %s --from-file=ca.crt=%s", lacking[0], s.CAFile)
	}
	return ok("in the agents' namespaces")
}

func networkPolicies(ctx context.Context, s *Site) Finding {
	there, denied := s.inSpaces(ctx, nets)
	if denied != nil {
		return *denied
	}
	found := s.absent(ctx, "NetworkPolicy", func(o *unstructured.Unstructured) bool { return there[named(o)] != nil })
	if found.State != OK {
		return found
	}
	var other []string
	for _, object := range s.manifests {
		if object.GetKind() != "NetworkPolicy" || object.GetName() == "agents" || object.GetName() == "delivery" {
			continue // a site narrows those two down to its own addresses
		}
		found := there[named(object)]
		if found != nil && !reflect.DeepEqual(plain(object.Object["spec"]), plain(found.Object["spec"])) {
			other = append(other, named(object))
		}
	}
	if len(other) > 0 {
		return warning("%s differs from k8s/site", all(other)).
			with("kubectl delete networkpolicy -n %s; %s", strings.Replace(other[0], "/", " ", 1), s.applies())
	}
	return found
}

// plain is a value as JSON has it, so that a number is the same whatever its type.
func plain(value any) any {
	body, _ := json.Marshal(value)
	var content any
	_ = json.Unmarshal(body, &content)
	return content
}

// denyService looks for a policy that selects every pod and allows nothing in, in the namespace of production.
func denyService(ctx context.Context, s *Site) Finding {
	namespace := s.space("prod")
	if !slices.Contains(s.services(), namespace) {
		return skipped("the part prod is not checked")
	}
	found, err := s.list(ctx, nets, namespace)
	if err != nil {
		return unanswered(err)
	}
	for i := range found {
		var policy struct {
			Spec struct {
				PodSelector map[string]any
				PolicyTypes []string
				Ingress     []any
			}
		}
		decode(&found[i], &policy)
		if len(policy.Spec.PodSelector) == 0 && len(policy.Spec.Ingress) == 0 && slices.Contains(policy.Spec.PolicyTypes, "Ingress") {
			return ok("NetworkPolicy %s of %s", found[i].GetName(), namespace)
		}
	}
	return warning("no NetworkPolicy of %s denies what others do not allow", namespace).
		with("kubectl apply -n %s -f k8s/optional/default-deny.yaml, when a policy allows what its pods need", namespace)
}
