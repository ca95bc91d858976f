//go:build lab

package attacks

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/e2e/site"
)

var prepared *site.Site

// deliverer is the account of production's pipeline.
const deliverer = "system:serviceaccount:jenkins-prod:slipway-prod"

// Names of people: ada may do everything in the namespace prod and nothing outside of it, olga may look at it.
const developer, onlooker = "ada", "olga"

const role = `{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: developers, namespace: prod},
 rules: [{apiGroups: ['*'], resources: ['*'], verbs: ['*']}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: developers, namespace: prod},
 roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: developers},
 subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: ada}, {kind: ServiceAccount, name: canary-reaper}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: onlookers, namespace: prod},
 roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view},
 subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: olga}]}
---
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: fastapi-app, namespace: prod},
 spec: {defaultBackend: {service: {name: fastapi-app, port: {name: http}}}}}
`

// TestMain prepares a site with one release in staging, and guards production as docs/security.md says.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp(os.Getenv("LAB_RUN"), "attacks")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		ctx := context.Background()
		root, err := filepath.Abs("../../..")
		if err == nil {
			prepared, err = site.Prepare(ctx, root, dir, site.Options{Replicas: 4, Light: true, Signed: true}, os.Stdout)
		}
		if err == nil {
			defer prepared.Stop()
			err = prepared.Stage(ctx)
		}
		if err == nil {
			err = guard(ctx)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// quick are a site's settings for a test: a canary of one pod that is judged at once.
func quick(more ...string) map[string]string {
	settings := map[string]string{"SLIPWAY_HOLD": "1s", "SLIPWAY_CANARY_WEIGHT": "20"}
	for i := 0; i+1 < len(more); i += 2 {
		settings[more[i]] = more[i+1]
	}
	return settings
}

// guard is what an administrator does: warned first, then what runs is approved, then enforced.
func guard(ctx context.Context) error {
	if err := site.Apply(ctx, role); err != nil {
		return err
	}
	for _, command := range [][]string{
		{"kubectl", "delete", "jobs", "--all", "-n", "prod"}, // of the reaper, before the site stopped it
		{"kubectl", "apply", "-k", filepath.Join(prepared.Root, "k8s/guard")},
		{"kubectl", "label", "namespace", "prod", "slipway.dev/guard=warn"},
		{filepath.Join(prepared.Root, "bin/slipway"), "guard", "approve", "-n", "prod"},
		{"kubectl", "label", "--overwrite", "namespace", "prod", "slipway.dev/guard=enforce"},
	} {
		if _, err := (site.Command{}).Run(ctx, command[0], command[1:]...); err != nil {
			return err
		}
	}
	for ctx, cancel := context.WithTimeout(ctx, time.Minute); ; {
		defer cancel()
		// A Deployment: a Pod would be refused by the namespace's Pod Security before.
		_, err := site.Kubectl(ctx, "create", "deployment", "probe", "-n", "prod", "--image", "probe", "--dry-run=server")
		if err != nil && strings.Contains(err.Error(), "slipway-images") {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("production is not guarded: %w", err)
		}
	}
}

// production is all that an attack may not change: what runs, where requests go, what is approved, who may do what, the database.
func production(t *testing.T) string {
	t.Helper()
	var all []string
	for _, each := range [][]string{
		{"get", "deployments,statefulsets,daemonsets,cronjobs,jobs", "-n", "prod", "-o",
			`jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.annotations} {.spec}{"\n"}{end}`},
		{"get", "replicasets", "-n", "prod", "-o",
			`jsonpath={range .items[*]}{.metadata.name} {.spec.replicas} {.spec.template.spec.containers[*].image}{"\n"}{end}`},
		{"get", "services,ingresses,rolebindings", "-n", "prod", "-o",
			`jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.annotations} {.spec} {.subjects}{"\n"}{end}`},
		{"get", "configmap/slipway-approved", "-n", "prod", "-o", "jsonpath={.data}"},
		{"get", "pods", "-n", "prod", "-o",
			`jsonpath={range .items[*]}{.metadata.name} {.spec.containers[*].image} {.spec.ephemeralContainers}{"\n"}{end}`},
		{"get", "namespace/prod", "-o", "jsonpath={.metadata.labels} {.metadata.annotations}"},
		{"get", "validatingadmissionpolicies,validatingadmissionpolicybindings", "-o",
			`jsonpath={range .items[*]}{.metadata.name} {.metadata.generation}{"\n"}{end}`},
	} {
		out, err := site.Kubectl(t.Context(), each...)
		require.NoError(t, err)
		all = append(all, out)
	}
	migration, err := prepared.Migration(t.Context(), "prod")
	require.NoError(t, err)
	return strings.Join(append(all, migration), "\n")
}

// untouched sees that production is as it was when the attack is over.
func untouched(t *testing.T, attack func()) {
	t.Helper()
	before := production(t)
	attack()
	assert.Equal(t, before, production(t), "production was changed")
}

func kubectl(t *testing.T, arguments ...string) string {
	t.Helper()
	out, err := site.Kubectl(t.Context(), arguments...)
	require.NoError(t, err)
	return strings.TrimSpace(out)
}

func stable(t *testing.T) string {
	t.Helper()
	return kubectl(t, "get", "deployment/"+site.App, "-n", "prod", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
}

// waiting keeps a console that is read while it grows.
type waiting struct {
	lock sync.Mutex
	all  strings.Builder
}

func (w *waiting) Write(line []byte) (int, error) {
	w.lock.Lock()
	defer w.lock.Unlock()
	return w.all.Write(line)
}

func (w *waiting) text() string {
	w.lock.Lock()
	defer w.lock.Unlock()
	return w.all.String()
}

func (w *waiting) has(text string) bool { return strings.Contains(w.text(), text) }
