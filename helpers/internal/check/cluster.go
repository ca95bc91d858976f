package check

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

var clusterChecks = []Check{
	{"cluster-reachable", Cluster, "the API server answers", "nothing can be delivered without it", apiAnswers},
	{"cluster-version", Cluster, "Kubernetes is 1.30 or later",
		"the guard is made of ValidatingAdmissionPolicies, which are stable since 1.30", clusterVersion},
	{"cluster-clock", Cluster, "the clocks of the API server and of this machine agree",
		"records, evidence and windows of the policy are compared by time", clusterClock},
	{"nodes-ready", Cluster, "a node is Ready and takes pods", "agents and the service have nowhere to run", nodesReady},
	{"storage-class", Cluster, "a StorageClass is the default",
		"a PersistentVolumeClaim without a class, such as the bundled PostgreSQL's, stays Pending", storageClass},
	{"namespaces", Cluster, "the namespaces of k8s/site exist", "agents and the service have no place", namespacesExist},
	{"pod-security-agents", Cluster, "the agents' namespaces enforce Pod Security as k8s/site does",
		"a branch could start a privileged pod, and read the node's files", podSecurityAgents},
	{"pod-security-service", Cluster, "the namespaces of the service enforce a level of Pod Security",
		"an image could run as root with all of the node's capabilities", podSecurityService},
	{"accounts", Cluster, "the ServiceAccounts of k8s/site exist", "Jenkins cannot make pods, and nobody may deliver", accountsExist},
	{"controller-token", Cluster, "the Secret jenkins-token of each agents' namespace holds a token",
		"the clouds of Jenkins have nothing to log in with", controllerToken},
	{"reaper", Cluster, "the CronJob canary-reaper is there and not suspended",
		"a canary whose pipeline died keeps its traffic until a person notices", reaperPresent},
	{"reaper-recent", Cluster, "the reaper succeeded in the last five minutes",
		"it is there and does not work: a canary whose pipeline died keeps its traffic", reaperRecent},
}

func apiAnswers(ctx context.Context, s *Site) Finding {
	info, err := s.api(ctx)
	if err != nil {
		found := missing("%s", oneLine(err)).with("kubectl cluster-info")
		found.Unknown = true
		return found
	}
	return ok("Kubernetes %s at %s", info.GitVersion, s.Cluster.Config.Host)
}

func clusterVersion(ctx context.Context, s *Site) Finding {
	info, err := s.api(ctx)
	if err != nil {
		return unanswered(err)
	}
	return versionOf(info.Major, info.Minor)
}

func versionOf(major, minor string) Finding {
	first, err1 := strconv.Atoi(major)
	second, err2 := strconv.Atoi(strings.TrimRight(minor, "+")) // some distributions write 31+
	switch {
	case err1 != nil || err2 != nil:
		return silent(fmt.Errorf("the API server says that it is version %q.%q", major, minor))
	case first < 1 || first == 1 && second < 30:
		return warning("Kubernetes %d.%d: it has no stable ValidatingAdmissionPolicy", first, second).
			with("upgrade to 1.30 or later; until then the namespaces cannot be guarded")
	}
	return ok("%d.%d", first, second)
}

func clusterClock(ctx context.Context, s *Site) Finding {
	if _, err := s.api(ctx); err != nil {
		return unanswered(err)
	}
	return clockOf(time.Until(s.Cluster.Now()), "the API server", "the nodes of the control plane")
}

// clockOf judges by how much another machine is ahead. Its time is known to the second.
func clockOf(ahead time.Duration, who, where string) Finding {
	text := fmt.Sprintf("%s is %s ahead of this machine", who, ahead.Round(time.Second).Abs())
	if ahead < 0 {
		text = fmt.Sprintf("%s is %s behind this machine", who, ahead.Round(time.Second).Abs())
	}
	switch fix := "set the clock here and on " + where + " by NTP: timedatectl status"; {
	case ahead.Abs() > time.Minute:
		return missing("%s", text).with("%s", fix)
	case ahead.Abs() > 5*time.Second:
		return warning("%s", text).with("%s", fix)
	}
	return ok("%s", text)
}

func nodesReady(ctx context.Context, s *Site) Finding {
	found, err := s.list(ctx, nodes, "")
	if err != nil {
		return unanswered(err)
	}
	return nodesOf(found)
}

func nodesOf(found []unstructured.Unstructured) Finding {
	var away []string
	taking := 0
	for i := range found {
		var node struct {
			Spec   struct{ Unschedulable bool }
			Status struct {
				Conditions []struct{ Type, Status string }
			}
		}
		decode(&found[i], &node)
		ready := slices.ContainsFunc(node.Status.Conditions, func(c struct{ Type, Status string }) bool {
			return c.Type == "Ready" && c.Status == "True"
		})
		switch {
		case !ready:
			away = append(away, found[i].GetName()+" is not Ready")
		case node.Spec.Unschedulable:
			away = append(away, found[i].GetName()+" is cordoned")
		default:
			taking++
		}
	}
	switch {
	case taking == 0:
		return missing("no node takes pods: %s", all(append(away, fmt.Sprintf("%d nodes", len(found))))).
			with("kubectl get nodes; kubectl describe node NAME")
	case len(away) > 0:
		return warning("%s", all(away)).with("kubectl describe node NAME")
	}
	return ok("%d nodes take pods", taking)
}

func storageClass(ctx context.Context, s *Site) Finding {
	found, err := s.list(ctx, storage, "")
	if err != nil {
		return unanswered(err)
	}
	for i := range found {
		if found[i].GetAnnotations()["storageclass.kubernetes.io/is-default-class"] == "true" {
			return ok("%s", found[i].GetName())
		}
	}
	fix := `kubectl annotate storageclass NAME storageclass.kubernetes.io/is-default-class=true`
	if len(found) == 0 {
		fix = "install a provisioner; or name a class or a volume in each PersistentVolumeClaim"
	}
	return warning("none of %d StorageClasses is the default", len(found)).with("%s", fix)
}

func namespacesExist(ctx context.Context, s *Site) Finding {
	there, err := s.allSpaces(ctx)
	if err != nil {
		return unanswered(err)
	}
	var lacking []string
	var changes []Change
	for _, name := range s.spaces() {
		if there[name] != nil {
			continue
		}
		lacking = append(lacking, name)
		for _, object := range s.manifests {
			if object.GetNamespace() == name || object.GetKind() == "Namespace" && object.GetName() == name {
				changes = append(changes, creation(object))
			}
		}
	}
	if len(lacking) > 0 {
		return missing("there is no namespace %s", all(lacking)).with("%s", s.applies()).changing(changes...)
	}
	return ok("%s", strings.Join(s.spaces(), ", "))
}

// absent is the finding about the objects of one kind in the manifests: those that are not there are to be made. What lacks its
// namespace is said by the check namespaces.
func (s *Site) absent(ctx context.Context, kind string, there func(*unstructured.Unstructured) bool) Finding {
	spaces, err := s.allSpaces(ctx)
	if err != nil {
		return unanswered(err)
	}
	var lacking []string
	var changes []Change
	counted := 0
	for _, object := range s.manifests {
		if object.GetKind() != kind || spaces[object.GetNamespace()] == nil {
			continue
		}
		if counted++; !there(object) {
			lacking = append(lacking, named(object))
			changes = append(changes, creation(object))
		}
	}
	if len(lacking) == 0 {
		return ok("%d of kind %s", counted, kind)
	}
	return missing("there is no %s %s", kind, all(lacking)).with("%s", s.applies()).changing(changes...)
}

// applies are the commands that make what k8s/site holds.
func (s *Site) applies() string {
	var commands []string
	for _, part := range s.Parts {
		commands = append(commands, "kubectl apply -k k8s/site/"+part)
	}
	return strings.Join(commands, "; ")
}

func named(object *unstructured.Unstructured) string {
	if object.GetNamespace() == "" {
		return object.GetName()
	}
	return object.GetNamespace() + "/" + object.GetName()
}

func creation(object *unstructured.Unstructured) Change {
	does := fmt.Sprintf("create or replace the %s %s", object.GetKind(), object.GetName())
	if object.GetNamespace() != "" {
		does += " in " + object.GetNamespace()
	}
	return Change{object, does}
}

// labelling sets labels of a namespace, and leaves its others.
func labelling(namespace string, labels map[string]string) Change {
	object := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace"}}
	object.SetName(namespace)
	object.SetLabels(labels)
	var pairs []string
	for key, value := range labels {
		pairs = append(pairs, key+"="+value)
	}
	slices.Sort(pairs)
	return Change{object, fmt.Sprintf("label the namespace %s: %s", namespace, strings.Join(pairs, " "))}
}

const enforced = "pod-security.kubernetes.io/enforce"

// levels of Pod Security, the strictest last: https://kubernetes.io/docs/concepts/security/pod-security-standards/
var levels = []string{"privileged", "baseline", "restricted"}

func strict(level string) int { return slices.Index(levels, level) }

func podSecurityAgents(ctx context.Context, s *Site) Finding {
	there, err := s.allSpaces(ctx)
	if err != nil {
		return unanswered(err)
	}
	var loose, fixes []string
	var changes []Change
	for _, object := range s.manifests {
		wanted := object.GetLabels()[enforced]
		if object.GetKind() != "Namespace" || wanted == "" || there[object.GetName()] == nil {
			continue
		}
		level := there[object.GetName()].GetLabels()[enforced]
		if strict(level) >= strict(wanted) {
			continue
		}
		loose = append(loose, fmt.Sprintf("%s has %s=%s, and %s is needed", object.GetName(), enforced, quoted(level), wanted))
		fixes = append(fixes, fmt.Sprintf("kubectl label --overwrite namespace %s %s=%s", object.GetName(), enforced, wanted))
		changes = append(changes, labelling(object.GetName(), map[string]string{enforced: wanted}))
	}
	if len(loose) > 0 {
		return missing("%s", all(loose)).with("%s", strings.Join(fixes, "; ")).changing(changes...)
	}
	return ok("as in k8s/site, or stricter")
}

func quoted(text string) string {
	if text == "" {
		return "(nothing)"
	}
	return text
}

// services are the namespaces that are delivered to: those in which the manifests put the reaper.
func (s *Site) services() (names []string) {
	for _, object := range s.manifests {
		if object.GetKind() == "CronJob" {
			names = append(names, object.GetNamespace())
		}
	}
	return names
}

// agents are the namespaces of the agents' pods.
func (s *Site) agents() []string {
	return slices.DeleteFunc(s.spaces(), func(name string) bool { return slices.Contains(s.services(), name) })
}

func podSecurityService(ctx context.Context, s *Site) Finding {
	there, err := s.allSpaces(ctx)
	if err != nil {
		return unanswered(err)
	}
	var loose []string
	for _, name := range s.services() {
		if there[name] != nil && strict(there[name].GetLabels()[enforced]) < strict("baseline") {
			loose = append(loose, name)
		}
	}
	if len(loose) > 0 {
		return warning("%s enforces neither baseline nor restricted", all(loose)).
			with("kubectl label --dry-run=server --overwrite namespace %s %s=restricted, and without --dry-run where nothing is named",
				strings.Join(loose, " "), enforced)
	}
	return ok("enforced in %s", all(s.services()))
}

func accountsExist(ctx context.Context, s *Site) Finding {
	there, denied := s.inSpaces(ctx, accounts)
	if denied != nil {
		return *denied
	}
	return s.absent(ctx, "ServiceAccount", func(o *unstructured.Unstructured) bool { return there[named(o)] != nil })
}

// inSpaces are the objects of a kind in the site's namespaces, by NAMESPACE/NAME.
func (s *Site) inSpaces(ctx context.Context, kind schemaKind) (map[string]*unstructured.Unstructured, *Finding) {
	there := map[string]*unstructured.Unstructured{}
	for _, namespace := range s.spaces() {
		found, err := s.list(ctx, kind, namespace)
		if err != nil {
			denied := unanswered(err)
			return nil, &denied
		}
		for i := range found {
			there[named(&found[i])] = &found[i]
		}
	}
	return there, nil
}

func controllerToken(ctx context.Context, s *Site) Finding {
	filled := map[string]bool{}
	for _, object := range s.manifests {
		if object.GetKind() != "Secret" {
			continue
		}
		found, err := s.get(ctx, secrets, object.GetNamespace(), object.GetName())
		if err != nil {
			return unanswered(err)
		}
		if found != nil {
			token, _, _ := unstructured.NestedString(found.Object, "data", "token")
			filled[named(object)] = token != ""
		}
	}
	return s.absent(ctx, "Secret", func(o *unstructured.Unstructured) bool { return filled[named(o)] })
}

// reaper is what a check needs of a CronJob.
type reaper struct {
	Spec   struct{ Suspend bool }
	Status struct{ LastScheduleTime, LastSuccessfulTime *time.Time }
}

func reaperPresent(ctx context.Context, s *Site) Finding {
	there, denied := s.inSpaces(ctx, cronJobs)
	if denied != nil {
		return *denied
	}
	found := s.absent(ctx, "CronJob", func(o *unstructured.Unstructured) bool { return there[named(o)] != nil })
	if found.State != OK {
		return found
	}
	for _, namespace := range s.services() {
		var job reaper
		if object := there[namespace+"/canary-reaper"]; object != nil {
			decode(object, &job)
		}
		if job.Spec.Suspend {
			return missing("the CronJob canary-reaper of %s is suspended", namespace).
				with(`kubectl patch cronjob/canary-reaper -n %s -p '{"spec":{"suspend":false}}'`, namespace)
		}
	}
	return found
}

func reaperRecent(ctx context.Context, s *Site) Finding {
	there, denied := s.inSpaces(ctx, cronJobs)
	if denied != nil {
		return *denied
	}
	var late []string
	for _, namespace := range s.services() {
		object := there[namespace+"/canary-reaper"]
		if object == nil {
			continue // the check reaper says it
		}
		var job reaper
		decode(object, &job)
		if why := lateness(job, object.GetCreationTimestamp().Time, s.Cluster.Now()); why != "" {
			late = append(late, namespace+": "+why)
		}
	}
	if len(late) > 0 {
		return missing("%s", all(late)).with("kubectl get jobs,pods -n NAMESPACE -l app.kubernetes.io/name=canary-reaper; " +
			"kubectl describe cronjob/canary-reaper -n NAMESPACE")
	}
	return ok("in %s", all(s.services()))
}

// lateness says why a reaper that runs every minute does not work. A new or a suspended one is not late.
func lateness(job reaper, made, now time.Time) string {
	const patience = 5 * time.Minute
	switch last := job.Status.LastSuccessfulTime; {
	case job.Spec.Suspend, now.Sub(made) < patience && last == nil:
		return ""
	case last == nil:
		return fmt.Sprintf("it has not succeeded since it was created %s ago", now.Sub(made).Round(time.Minute))
	case now.Sub(*last) > patience:
		return fmt.Sprintf("it last succeeded %s ago", now.Sub(*last).Round(time.Minute))
	}
	return ""
}
