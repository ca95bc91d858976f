package status

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"slipway.dev/slipway/helpers/internal/approved"
	"slipway.dev/slipway/helpers/internal/canary"
	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/deploy"
	"slipway.dev/slipway/helpers/internal/gate"
	"slipway.dev/slipway/helpers/internal/record"
	"slipway.dev/slipway/helpers/internal/rollout"
)

// Objects are what a Status is computed of.
type Objects struct {
	Deployments []appsv1.Deployment
	Autoscaled  map[Name]bool                // Deployments whose replicas an autoscaler owns
	Guards      map[string]string            // mode of each guarded namespace
	Lists       map[string]map[string]string // data of each namespace's ConfigMap slipway-approved
	Broken      []Broken
	Waivers     map[string]string // waivers.yaml of each namespace's ConfigMap slipway-policy
	Records     []record.Record   // in the order in which they ended
	Unread      []string
}

// Name is a namespaced one.
type Name struct{ Namespace, Name string }

// Broken is an object that went past the guard.
type Broken struct{ Namespace, Object, Reason string }

// annotation is one of those that the pipelines record.
func annotation(d *appsv1.Deployment, key string) string { return d.Annotations["slipway.dev/"+key] }

// Of computes what is true. app limits it to one Deployment, where it is not empty.
func Of(o Objects, namespace, app string, now time.Time) Status {
	s := &Status{At: now.UTC().Truncate(time.Second), Namespace: namespace, Apps: []App{}, Waivers: []Waiver{}, Findings: []Finding{},
		Unread: slices.Concat([]string{}, o.Unread)}
	canaries := canariesOf(o.Deployments)
	isCanary := map[Name]bool{}
	for _, each := range canaries {
		isCanary[Name{each.Namespace, each.Name}] = true
	}
	for i := range o.Deployments {
		d := &o.Deployments[i]
		name := Name{d.Namespace, d.Name}
		switch {
		case isCanary[name]:
		case !delivered(d) && canaries[name] == nil:
			s.Others++
		case app == "" || app == d.Name:
			s.app(o, d, canaries[name])
		}
	}
	for _, each := range o.Broken {
		_, name, _ := strings.Cut(each.Object, "/")
		if app == "" || name == app || name == app+"-canary" {
			s.find(BreakGlass, each.Namespace, each.Object, "went past the guard: "+each.Reason,
				"see what was done, then acknowledge it: kubectl annotate -n %s %s %s-", each.Namespace, each.Object, approved.BreakGlass)
		}
	}
	for space, body := range o.Waivers {
		s.waivers(space, body)
	}
	slices.SortFunc(s.Apps, func(a, b App) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Deployment, b.Deployment))
	})
	slices.SortFunc(s.Waivers, func(a, b Waiver) int { return cmp.Or(cmp.Compare(a.Until, b.Until), cmp.Compare(a.ID, b.ID)) })
	slices.SortStableFunc(s.Findings, func(a, b Finding) int {
		return cmp.Or(slices.Index(order, a.Kind)-slices.Index(order, b.Kind), cmp.Compare(a.Namespace, b.Namespace),
			cmp.Compare(a.Object, b.Object), cmp.Compare(a.What, b.What))
	})
	return *s
}

func (s *Status) find(kind Kind, namespace, object, what, next string, arguments ...any) {
	finding := Finding{kind, namespace, object, what, fmt.Sprintf(next, arguments...)}
	if !slices.Contains(s.Findings, finding) { // a broken list is found by each Deployment
		s.Findings = append(s.Findings, finding)
	}
}

// delivered says whether Slipway has put an image on the Deployment.
func delivered(d *appsv1.Deployment) bool {
	return annotation(d, "build") != "" || d.Annotations[rollout.BeforeAnnotation] != "" || causeOf(d) != ""
}

// causeOf is the image that deploy-image says it has put there.
func causeOf(d *appsv1.Deployment) string {
	image, found := strings.CutPrefix(d.Annotations["kubernetes.io/change-cause"], "deploy-image ")
	if !found {
		return ""
	}
	return image
}

// canariesOf are the Deployments of canaries, by the name of stable's.
func canariesOf(all []appsv1.Deployment) map[Name]*appsv1.Deployment {
	found, there := map[Name]*appsv1.Deployment{}, map[Name]bool{}
	for i := range all {
		there[Name{all[i].Namespace, all[i].Name}] = true
	}
	for i := range all {
		d := &all[i]
		stable := d.Annotations[deploy.CanaryOfAnnotation]
		if short, named := strings.CutSuffix(d.Name, "-canary"); stable == "" && named {
			stable = short
		}
		if there[Name{d.Namespace, stable}] && stable != d.Name {
			found[Name{d.Namespace, stable}] = d
		}
	}
	return found
}

func (s *Status) app(o Objects, d, tried *appsv1.Deployment) {
	a := App{
		Namespace: d.Namespace, Deployment: d.Name, Guard: o.Guards[d.Namespace], Build: annotation(d, "build"),
		Commit: annotation(d, "commit"), Plan: annotation(d, "plan"), Waived: []string{},
		Replicas: asked(d), Updated: d.Status.UpdatedReplicas, Available: d.Status.AvailableReplicas,
	}
	object := "deployment/" + d.Name
	before, err := rollout.ReadBefore(d)
	if err != nil {
		s.find(NotReadable, d.Namespace, object, slipway.AsError(err).Message, "%s", slipway.AsError(err).Hint)
	}
	expected := expectedOf(d, before)
	a.State, a.Image = s.images(d, expected, before)
	a.Since = since(d, before, a.State)
	a.Before = wayBack(d, before, a.State)
	var journal *canary.Journal
	if tried != nil {
		a.Canary, journal = s.canary(d, tried)
	}
	s.replicas(o, d, before, a.State, journal)
	if a.Available < a.Replicas {
		s.find(Pods, d.Namespace, object, fmt.Sprintf("%d of %d pods are available", a.Available, a.Replicas),
			"rollout-wait -n %s %s --timeout 1m", d.Namespace, object)
	}
	s.approval(o, d, &a)
	s.runs(o.Records, &a)
	s.Apps = append(s.Apps, a)
}

func asked(d *appsv1.Deployment) int32 {
	if d.Spec.Replicas == nil {
		return 1
	}
	return *d.Spec.Replicas
}

// expectedOf are the images that the containers should have; nil where nothing says so.
func expectedOf(d *appsv1.Deployment, before *rollout.Before) map[string]string {
	switch cause := causeOf(d); {
	case before != nil && before.Undone:
		return before.Images
	case before != nil:
		return before.To
	case cause != "":
		for _, container := range d.Spec.Template.Spec.Containers {
			if container.Image == cause {
				return map[string]string{container.Name: cause}
			}
		}
		return map[string]string{firstContainer(d).Name: cause}
	}
	return nil
}

func firstContainer(d *appsv1.Deployment) corev1.Container {
	if containers := d.Spec.Template.Spec.Containers; len(containers) > 0 {
		return containers[0]
	}
	return corev1.Container{}
}

// images compares what is live with what was put there.
func (s *Status) images(d *appsv1.Deployment, expected map[string]string, before *rollout.Before) (State, string) {
	live := map[string]string{}
	for _, container := range rollout.AllContainers(d.Spec.Template.Spec) {
		live[container.Name] = container.Image
	}
	shown := firstContainer(d)
	for _, container := range d.Spec.Template.Spec.Containers {
		if _, is := expected[container.Name]; is {
			shown = container
			break
		}
	}
	var last rollout.LastGood
	_ = json.Unmarshal([]byte(d.Annotations[rollout.LastGoodAnnotation]), &last) // none, or not ours: it says nothing
	wentBack := last.Hash != "" && last.Hash == d.Annotations[rollout.GoodAnnotation] && last.Image == shown.Image
	state := Delivered
	switch {
	case expected == nil:
		state = NotKnown
	case before != nil && before.Undone || wentBack && expected[shown.Name] != shown.Image:
		state = Undone
	}
	object := "deployment/" + d.Name
	for name, image := range expected {
		is, there := live[name]
		if is == image || wentBack && is == last.Image {
			continue
		}
		state = Changed
		what := fmt.Sprintf("the container %s has the image %s, and Slipway put %s there", name, is, image)
		if !there {
			what = fmt.Sprintf("there is no container %s, and Slipway put %s there", name, image)
		}
		s.find(Drift, d.Namespace, object, what, "see who changed it: kubectl get -n %s %s -o yaml --show-managed-fields", d.Namespace, object)
	}
	if _, _, pinned := approved.Parse(shown.Image); expected != nil && !pinned && state != Changed {
		s.find(Drift, d.Namespace, object, fmt.Sprintf("the image %s is not named by its digest", shown.Image),
			"deliver it by the pipeline, which names it by its digest")
	}
	return state, shown.Image
}

// since is when what runs was put there: by the change's own note, else when its rollout was complete, else the Deployment's beginning.
func since(d *appsv1.Deployment, before *rollout.Before, state State) time.Time {
	if before != nil && state == Delivered {
		return before.At.UTC()
	}
	for _, condition := range d.Status.Conditions {
		if condition.Type == appsv1.DeploymentProgressing && condition.Reason == "NewReplicaSetAvailable" {
			return condition.LastUpdateTime.UTC()
		}
	}
	return d.CreationTimestamp.UTC()
}

// wayBack is the image that an undoing goes back to.
func wayBack(d *appsv1.Deployment, before *rollout.Before, state State) string {
	if before == nil || state != Delivered {
		return ""
	}
	for _, container := range d.Spec.Template.Spec.Containers {
		if image := before.Images[container.Name]; image != "" {
			return image
		}
	}
	return ""
}

// replicas compares how many pods are asked for with what the last delivery left. An autoscaler, or the canary that stands, may
// have changed them.
func (s *Status) replicas(o Objects, d *appsv1.Deployment, before *rollout.Before, state State, journal *canary.Journal) {
	object, now := "deployment/"+d.Name, asked(d)
	if was := d.Annotations[rollout.CanaryReplicasAnnotation]; was != "" && journal == nil {
		s.find(Drift, d.Namespace, object, fmt.Sprintf("a canary has changed its replicas from %s, and is gone", was),
			"kubectl scale -n %s %s --replicas=%s; kubectl annotate -n %s %s %s-", d.Namespace, object, was, d.Namespace, object,
			rollout.CanaryReplicasAnnotation)
		return
	}
	if before == nil || o.Autoscaled[Name{d.Namespace, d.Name}] || state == Changed || state == NotKnown {
		return
	}
	left := before.Replicas
	if len(before.Given) > 0 && state == Delivered {
		left = before.Given[len(before.Given)-1]
	}
	if now == left || journal != nil && (now == journal.Previous.Stable || slices.Contains(journal.Given, now)) {
		return
	}
	s.find(Drift, d.Namespace, object, fmt.Sprintf("%d replicas are asked for, and the last delivery left %d", now, left),
		"see who changed it: kubectl get -n %s %s -o yaml --show-managed-fields", d.Namespace, object)
}

// canary is what is known of one that stands; nil where it has no pods and nothing to undo.
func (s *Status) canary(stable, d *appsv1.Deployment) (*Canary, *canary.Journal) {
	object := "deployment/" + d.Name
	journal, err := canary.ReadJournal(d.Annotations)
	if err != nil {
		s.find(NotReadable, d.Namespace, object, slipway.AsError(err).Message, "%s", slipway.AsError(err).Hint)
	}
	if journal == nil && asked(d) == 0 {
		return nil, nil
	}
	c := &Canary{Deployment: d.Name, Image: firstContainer(d).Image, Replicas: asked(d), Available: d.Status.AvailableReplicas}
	before, _ := rollout.ReadBefore(d)
	for _, container := range d.Spec.Template.Spec.Containers {
		if before != nil && before.To[container.Name] != "" {
			c.Image = container.Image
			break
		}
	}
	if journal == nil {
		if err == nil {
			s.find(CanaryStays, d.Namespace, object, fmt.Sprintf("%d replicas are asked for, and no run has noted how to undo them", asked(d)),
				"kubectl scale -n %s %s --replicas=0", d.Namespace, object)
		}
		return c, nil
	}
	c.Weight, c.Router, c.Run, c.Undoing = journal.Weight, journal.Route.Router, journal.Run, journal.Undoing
	c.StartedAt, c.ExpiresAt = journal.StartedAt.UTC(), journal.ExpiresAt.UTC()
	c.Overdue = s.At.After(c.ExpiresAt.Add(reaped))
	if c.Overdue {
		s.find(CanaryStays, d.Namespace, object, fmt.Sprintf("the canary of %s expired at %s, and the CronJob canary-reaper has not undone it",
			journal.Run, c.ExpiresAt.Format(stamp)), "canary-weight abort -n %s --app %s --stable %s --canary %s --expired", d.Namespace,
			stable.Name, stable.Name, d.Name)
	}
	return c, journal
}

const (
	reaped = 3 * time.Minute // after its end: the reaper begins each minute
	stamp  = "2006-01-02 15:04Z"
)

// approval says who approved what runs: by the annotations, which are about the image that was delivered, else by the list.
func (s *Status) approval(o Objects, d *appsv1.Deployment, a *App) {
	if a.State == Delivered || a.State == Undone {
		a.ApprovedBy, a.MigratedBy = annotation(d, "approved-by"), annotation(d, "migration-approved-by")
	}
	data, listed := o.Lists[d.Namespace]
	if !listed {
		return
	}
	list, err := approved.Read(data)
	if err != nil {
		s.find(NotReadable, d.Namespace, "configmap/"+approved.Name, slipway.AsError(err).Message, "%s", slipway.AsError(err).Hint)
		return
	}
	if entries := list.Of(a.Image); len(entries) > 0 {
		a.ApprovedBy, a.ApprovedFor = cmp.Or(a.ApprovedBy, strings.Join(entries[0].Approvers, ", ")), entries[0].What
	}
	for _, image := range approved.Images(d.Spec.Template.Spec) {
		if a.Guard != "" && !list.Admits(image) {
			s.find(Unapproved, d.Namespace, "deployment/"+d.Name, fmt.Sprintf("the image %s is not on the list of approved images", image),
				"slipway guard status -n %s", d.Namespace)
		}
	}
}

// runs tells, of the records, what became of the newest run of the service and the pipeline that delivered it. The delivery's own
// record has the waived findings, and is compared with what is live.
func (s *Status) runs(records []record.Record, a *App) {
	delivery := record.Last(records, func(r record.Record) bool { return a.Build != "" && r.Build == a.Build })
	if delivery == nil {
		return
	}
	a.Waived = append(a.Waived, delivery.Waived...)
	last := record.Last(records, func(r record.Record) bool { return r.App == delivery.App && r.Pipeline == delivery.Pipeline })
	a.LastRun = &Run{last.Pipeline, last.Build, last.Outcome, last.Why, last.Ended}
	if a.State == Delivered && delivery.Outcome == record.Done && delivery.Image != "" && delivery.Image != a.Image {
		s.find(Drift, a.Namespace, "deployment/"+a.Deployment, fmt.Sprintf("it has the image %s, and the record of %s says %s", a.Image,
			a.Build, delivery.Image), "see who changed it: kubectl get -n %s deployment/%s -o yaml --show-managed-fields", a.Namespace, a.Deployment)
	}
}

func (s *Status) waivers(namespace, body string) {
	object := "configmap/slipway-policy"
	waivers, err := gate.Parse("waivers.yaml", []byte(body), s.At)
	if err != nil {
		s.find(NotReadable, namespace, object, slipway.AsError(err).Error(), "correct the file")
		return
	}
	for _, w := range waivers {
		left, until, whose := w.Left(s.At), w.Until.Format(time.DateOnly), fmt.Sprintf("the waiver of %s (owner %s)", w.ID, w.Owner)
		s.Waivers = append(s.Waivers, Waiver{namespace, w.ID, w.Package, w.Owner, w.Reason, until, left})
		const next = "raise the package to a version without the finding; or give the waiver of %s a later end, with a reason that still holds"
		switch {
		case left < 0:
			s.find(WaiverEnds, namespace, object, fmt.Sprintf("%s ended on %s: builds with the finding fail", whose, until), next, w.ID)
		case left <= gate.Soon:
			s.find(WaiverEnds, namespace, object, fmt.Sprintf("%s ends on %s: from the day after, builds with the finding fail", whose, until),
				next, w.ID)
		}
	}
}
