package check

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"

	"slipway.dev/slipway/helpers/internal/approved"
	"slipway.dev/slipway/helpers/internal/canary"
	"slipway.dev/slipway/helpers/internal/kube"
	"slipway.dev/slipway/helpers/internal/registry"
)

// Site is what was given to be checked. What is empty is not checked.
type Site struct {
	Cluster *kube.Cluster
	NoKube  string            // why there is no Cluster
	Parts   []string          // of k8s/site: build, staging, prod
	Rename  map[string]string // the site's names of the namespaces in k8s/site

	AgentImage string // of the pods that probe; without it the reaper's
	Host       string // of the registry
	Repository string // HOST/REPOSITORY of the service's images
	CAFile     string // the authority of its certificate

	Quarantine string // REGISTRY/REPOSITORY to which builds push

	Images       *registry.Client
	ImageOptions registry.Options

	Open        time.Duration // how long a transaction may be open
	HasDatabase bool          // one is named, by the environment or by Address
	Address     string        // of the database; empty: PGHOST and its like

	Names       canary.Names   // of the service's Deployments; without App no service is checked
	Namespace   string         // of the service
	RouterDelay time.Duration  // how long a router takes to take a pod out
	Source      *canary.Source // without an Address no Prometheus is checked
	Interval    time.Duration  // between two looks of the analysis

	PolicyFile string   // without it the ConfigMap of the cluster
	Waivers    []string // files beside those of the policy
	Jenkins    *jenkins // nil where none is given

	ProbeNetwork, ProbeImages, ProbeRegistry bool

	limit     time.Duration
	manifests []*unstructured.Unstructured // of the parts

	reachable  fact[*version.Info]
	namespaces fact[map[string]*unstructured.Unstructured]
	user       fact[string]
	greeting   fact[registry.Greeting]
	login      fact[string]
	trial      fact[registry.Trial]
	database   fact[examined]
	seen       fact[canary.Seen]
	service    fact[service]
	policy     fact[loaded]
	folders    []string // made for the checks, and removed by Close

	jenkinsRoot   fact[rooted]
	jenkinsWho    fact[whoami]
	jenkinsExport fact[said]
	surveys       fact[map[string]approved.Survey]
	objects       map[string]*fact[[]unstructured.Unstructured]
}

// Prepare renders the manifests of the site's parts.
func (s *Site) Prepare() error {
	for _, part := range s.Parts {
		objects, err := Manifests("site/"+part, s.Rename, s.Host)
		if err != nil {
			return err
		}
		s.manifests = append(s.manifests, objects...)
	}
	s.objects = map[string]*fact[[]unstructured.Unstructured]{}
	for _, kind := range append(namespaced, clusters...) {
		for _, namespace := range append(s.spaces(), "") {
			s.objects[kind.Resource+" "+namespace] = &fact[[]unstructured.Unstructured]{}
		}
	}
	return nil
}

// lacks says why no check of a group can be asked; empty where they can.
func (s *Site) lacks(group string) string {
	switch group {
	case Cluster, Guard:
		return s.NoKube
	case Registry:
		if s.Repository == "" {
			return "no repository is given: --registry REGISTRY/REPOSITORY"
		}
	case Database:
		if !s.HasDatabase {
			return "no database is given: DATABASE_URL, PGHOST and its like, or --database-url-file FILE"
		}
	case Prometheus:
		if s.Source.Address == "" {
			return "no Prometheus is given: PROMETHEUS_URL, or --prometheus URL"
		}
		return s.noService()
	case Policy:
		if s.PolicyFile == "" && s.NoKube != "" {
			return "no policy is given: --policy FILE, or a cluster"
		}
	case Jenkins:
		if s.Jenkins == nil {
			return "no Jenkins is given: JENKINS_URL, or --jenkins URL"
		}
	case Service:
		if s.NoKube != "" {
			return s.NoKube
		}
		return s.noService()
	}
	return ""
}

func (s *Site) noService() string {
	if s.Names.App == "" {
		return "no service is given: --app NAME"
	}
	return ""
}

// The kinds that checks list.
var (
	accounts   = schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}
	configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	secrets    = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	roles      = schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"}
	bindings   = schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"}
	nets       = schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"}
	cronJobs   = schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "cronjobs"}
	nodes      = schema.GroupVersionResource{Version: "v1", Resource: "nodes"}
	spaces     = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	storage    = schema.GroupVersionResource{Group: "storage.k8s.io", Version: "v1", Resource: "storageclasses"}
	policies   = schema.GroupVersionResource{Group: admission, Version: "v1", Resource: "validatingadmissionpolicies"}
	applied    = schema.GroupVersionResource{Group: admission, Version: "v1", Resource: "validatingadmissionpolicybindings"}

	namespaced = []schema.GroupVersionResource{accounts, nets, cronJobs}
	clusters   = []schema.GroupVersionResource{nodes, storage, policies, applied}
)

const admission = "admissionregistration.k8s.io"

// resourceOf is where the API server keeps a kind of the manifests.
var resourceOf = map[string]schema.GroupVersionResource{"Namespace": spaces, "ServiceAccount": accounts, "ConfigMap": configMaps,
	"Secret": secrets, "Role": roles, "RoleBinding": bindings, "NetworkPolicy": nets, "CronJob": cronJobs}

// spaces are the namespaces of the manifests, in their order.
func (s *Site) spaces() (names []string) {
	for _, object := range s.manifests {
		if object.GetKind() == "Namespace" {
			names = append(names, object.GetName())
		}
	}
	return names
}

// space is the site's name of a namespace of k8s/site.
func (s *Site) space(name string) string {
	if other := s.Rename[name]; other != "" {
		return other
	}
	return name
}

// api asks the API server for its version; where it does not answer, no other question is put to it.
func (s *Site) api(ctx context.Context) (*version.Info, error) {
	return s.reachable.get(ctx, s.limit, func(ctx context.Context) (*version.Info, error) {
		body, err := s.Cluster.Core().RESTClient().Get().AbsPath("/version").Do(ctx).Raw()
		if err != nil {
			return nil, kube.Explain(err, "asking the API server for its version")
		}
		info := &version.Info{}
		return info, json.Unmarshal(body, info)
	})
}

// unanswered is the finding where the API server said no, or nothing.
func unanswered(err error) Finding {
	if kube.IsDenied(err) || apierrors.IsForbidden(err) {
		known := kube.Explain(err, "asking")
		return skipped("%s", known.Message).with("run it as an administrator of the cluster")
	}
	return silent(err)
}

// list reads the objects of a kind that the API server has, once for all checks.
func (s *Site) list(ctx context.Context, kind schema.GroupVersionResource, namespace string) ([]unstructured.Unstructured, error) {
	if _, err := s.api(ctx); err != nil {
		return nil, err
	}
	known := s.objects[kind.Resource+" "+namespace]
	if known == nil { // of a namespace that is no part of the site
		known = &fact[[]unstructured.Unstructured]{}
	}
	return known.get(ctx, s.limit, func(ctx context.Context) ([]unstructured.Unstructured, error) {
		found, err := s.Cluster.Dynamic().Resource(kind).Namespace(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		return found.Items, nil
	})
}

// get reads one object; nil where there is none.
func (s *Site) get(ctx context.Context, kind schema.GroupVersionResource, namespace, name string) (*unstructured.Unstructured, error) {
	if _, err := s.api(ctx); err != nil {
		return nil, err
	}
	found, err := s.Cluster.Dynamic().Resource(kind).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return found, err
}

// allSpaces are the site's namespaces that the cluster has, by name. They are read one by one: an account may be allowed to get
// its own and not to list all.
func (s *Site) allSpaces(ctx context.Context) (map[string]*unstructured.Unstructured, error) {
	return s.namespaces.get(ctx, s.limit, func(ctx context.Context) (map[string]*unstructured.Unstructured, error) {
		found := map[string]*unstructured.Unstructured{}
		for _, name := range s.spaces() {
			space, err := s.get(ctx, spaces, "", name)
			if err != nil {
				return nil, err
			}
			if space != nil {
				found[name] = space
			}
		}
		return found, nil
	})
}

// decode reads an object into a struct with the fields that a check needs.
func decode(object *unstructured.Unstructured, into any) {
	if body, err := json.Marshal(object.Object); err == nil {
		_ = json.Unmarshal(body, into) // a field of another type is as if it were absent
	}
}

// AskJenkins has the checks of Jenkins asked, with an API token. A redirect is not followed: it would take the token elsewhere.
func (s *Site) AskJenkins(address, user, token string) {
	s.Jenkins = &jenkins{address, user, token, &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}}
}

// Close removes what was made for the checks.
func (s *Site) Close() {
	for _, folder := range s.folders {
		_ = os.RemoveAll(folder)
	}
}
