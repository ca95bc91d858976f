package check

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"

	"slipway.dev/slipway/helpers/internal/canary"
	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
	"slipway.dev/slipway/helpers/internal/registry"
)

// results are one of each kind, as a table of checks would give them.
func results(t *testing.T, findings map[string]Finding) []Result {
	t.Helper()
	var table []Check
	for _, check := range Table() {
		if found, is := findings[check.ID]; is {
			check.ask = func(context.Context, *Site) Finding { return found }
			table = append(table, check)
		}
	}
	require.Len(t, table, len(findings))
	site := &Site{Cluster: &kube.Cluster{}, Repository: "r/a", HasDatabase: true, Names: canary.Names{App: "shop"}, Source: &canary.Source{}}
	return Run(t.Context(), site, table, nil)
}

// The report that a person reads is kept in a file, so that another word is a decision: SLIPWAY_WRITE=true writes it.
func TestTheReportIsAsItIsKept(t *testing.T) {
	for file, all := range map[string]bool{"testdata/report.txt": false, "testdata/report-all.txt": true} {
		report := NewReport(results(t, map[string]Finding{
			"cluster-reachable":  ok("Kubernetes v1.34.4 at https://10.0.0.1:6443"),
			"namespaces":         ok("jenkins-build, jenkins-staging, staging, jenkins-prod, prod"),
			"pull-secret":        missing("there is no Secret nexus-pull in prod").with("kubectl create secret generic nexus-pull -n prod"),
			"guard-label":        warning("prod has no label slipway.dev/guard").with("kubectl label namespace prod slipway.dev/guard=warn"),
			"guard-account":      skipped("slipway-prod may not get namespaces").with("run it as an administrator of the cluster"),
			"registry-tags":      silent(slipway.Errorf(slipway.Unknown, "listing the tags failed").Because(errors.New("no route to host"))),
			"database-history":   missing("\x1b[2Jflyway_schema_history\nis there").with("migrate-diff baseline --adopt"),
			"service-deployment": ok("3 pods of deployment/shop are available"),
		}))
		report.All = all
		var text bytes.Buffer
		require.NoError(t, report.Text(&text))
		if os.Getenv("SLIPWAY_WRITE") != "" {
			require.NoError(t, os.WriteFile(file, text.Bytes(), 0o644))
		}
		kept, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Equal(t, string(kept), text.String())
	}
}

// What is missing is a no; a server that is silent is none, unless something else is missing.
func TestTheExitCodeOfAReport(t *testing.T) {
	lost := missing("the registry does not answer")
	lost.Unknown = true
	for _, each := range []struct {
		findings map[string]Finding
		code     int
	}{
		{map[string]Finding{"namespaces": ok("all")}, slipway.Done},
		{map[string]Finding{"namespaces": warning("one"), "accounts": skipped("not allowed")}, slipway.Done},
		{map[string]Finding{"namespaces": skipped("no cluster"), "accounts": skipped("no cluster")}, slipway.Unknown},
		{map[string]Finding{"namespaces": ok("all"), "registry-reachable": lost}, slipway.Unknown},
		{map[string]Finding{"namespaces": ok("all"), "registry-tags": silent(errors.New("no answer"))}, slipway.Unknown},
		{map[string]Finding{"namespaces": missing("one"), "registry-reachable": lost}, slipway.No},
		{map[string]Finding{"namespaces": missing("one")}, slipway.No},
	} {
		err := NewReport(results(t, each.findings)).Err()
		if each.code == slipway.Done {
			assert.NoError(t, err)
		} else if assert.Error(t, err) {
			assert.Equal(t, each.code, slipway.AsError(err).Code, "%v", each.findings)
		}
	}
}

// A server that accepts connections and says nothing keeps no check longer than its time, and the other checks not at all.
func TestAServerThatIsSilentIsWaitedForWithABound(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	silentServer := listener.Addr().String()
	cluster, err := kube.New(&rest.Config{Host: "http://" + silentServer}, "prod", "check")
	require.NoError(t, err)
	images, err := registry.New(registry.Options{PlainHTTP: true})
	require.NoError(t, err)
	site := &Site{Cluster: cluster, Parts: []string{"build", "staging", "prod"}, Repository: silentServer + "/shop", Images: images,
		HasDatabase: true, Address: "postgres://app@" + silentServer + "/shop?sslmode=disable", Names: canary.Names{App: "shop", Stable: "shop"},
		Namespace: "prod", Source: &canary.Source{Address: "http://" + silentServer, Metric: "m"}}
	site.AskJenkins("http://"+silentServer, "ada", "t")
	require.NoError(t, site.Prepare())
	results := run(t.Context(), site, Table(), 200*time.Millisecond, time.Second, nil)
	reachable := 0
	for _, result := range results {
		assert.NotEqual(t, OK, result.State, "%s: %s", result.ID, result.Found)
		assert.True(t, result.State == Skipped || result.Unknown || result.State == Warning, "%s: %s", result.ID, result.Found)
		if result.Unknown {
			reachable++
		}
	}
	assert.GreaterOrEqual(t, reachable, 5)
	err = NewReport(results).Err()
	require.Error(t, err)
	assert.Equal(t, slipway.Unknown, slipway.AsError(err).Code)
}

func TestChecksAreChosenByIdAndByGroup(t *testing.T) {
	chosen, unknown := Select(Table(), []string{"pull-secret", Guard})
	assert.Empty(t, unknown)
	assert.Equal(t, "pull-secret", chosen[0].ID)
	assert.Len(t, chosen, 1+len(guardChecks))
	_, unknown = Select(Table(), []string{"pull-secrets"})
	assert.Equal(t, "pull-secrets", unknown)
}
