package scaffold

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v2"
	"sigs.k8s.io/yaml"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/policy"
)

// repo is a repository with these files.
func repo(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "Order_Service")
	require.NoError(t, os.Mkdir(folder, 0o755))
	require.NoError(t, exec.CommandContext(t.Context(), "git", "-C", folder, "init", "-q").Run())
	for name, text := range files {
		path := filepath.Join(folder, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	return folder
}

type answered struct {
	App      string
	Files    []file
	Existing []existing
	Next     []string
	Error    *struct{ Message, Why, Hint string }
}

func initialise(t *testing.T, folder string, arguments ...string) (int, answered, string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	app := App()
	app.Writer, app.ErrWriter, app.Reader = &stdout, &stderr, strings.NewReader("")
	code := slipway.Execute(t.Context(), app, append([]string{"init", folder, "-o", "json"}, arguments...))
	var a answered
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &a), stdout.String()+stderr.String())
	return code, a, stderr.String()
}

// tree are the files of a repository, but git's own.
func tree(t *testing.T, folder string) map[string]string {
	t.Helper()
	found := map[string]string{}
	require.NoError(t, fs.WalkDir(os.DirFS(folder), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == "." {
			return err
		}
		if path == ".git" {
			return fs.SkipDir
		}
		if entry.Type().IsRegular() {
			body, err := os.ReadFile(filepath.Join(folder, path))
			found[path] = string(body)
			return err
		}
		found[path] = entry.Type().String()
		return nil
	}))
	return found
}

const python = "FROM python:3.11-slim\nUSER 10002:10001\nEXPOSE 8080\nHEALTHCHECK CMD curl -f http://localhost:8080/healthz || exit 1\n"

var given = []string{"--registry", "nexus.example:8083", "--git-url", "https://gitee.example/team/orders.git"}

func TestInitWritesWhatTheRepositoryNeedsAndThenNothing(t *testing.T) {
	folder := repo(t, map[string]string{"Dockerfile": python, "migrations/001_orders.sql": "SELECT 1"})
	code, a, _ := initialise(t, folder, given...)
	require.Equal(t, slipway.Done, code)
	assert.Equal(t, "order-service", a.App)
	written := tree(t, folder)
	for _, each := range a.Files {
		assert.Contains(t, written, each.Path)
		assert.NotContains(t, written[each.Path], "[[", each.Path)
		assert.NotContains(t, written[each.Path], "fastapi", "%s: another service's name", each.Path)
		assert.NotContains(t, written[each.Path], "10.10.70.84", each.Path)
	}
	assert.Equal(
		t,
		"@Library('slipway@v1') _\nstagingPipeline(app: 'order-service', dbName: 'order_service', smokePath: '/healthz')\n",
		written["Jenkinsfile"],
	)
	assert.Contains(t, written["k8s/base/deployment.yaml"], "containerPort: 8080")
	assert.Contains(t, written["k8s/base/deployment.yaml"], "runAsUser: 10002")
	assert.Contains(t, written["k8s/first/prod/kustomization.yaml"], `"nexus.example:8083/order-service:latest"`)
	assert.Contains(t, written["slipway/jenkins.yaml"], "sourceUrl: 'https://gitee.example/team/orders.git', sourceCredentialsId: 'gitee'")
	_, err := policy.Load(filepath.Join(folder, "slipway/policy.yaml"))
	assert.NoError(t, err)

	code, a, _ = initialise(t, folder, given...)
	assert.Equal(t, slipway.Done, code)
	assert.Empty(t, a.Files)
	assert.Equal(t, written, tree(t, folder), "a second run changes nothing")
}

func TestWithoutADatabaseNothingSpeaksOfOne(t *testing.T) {
	folder := repo(t, map[string]string{"Dockerfile": python})
	code, _, _ := initialise(t, folder, given...)
	require.Equal(t, slipway.Done, code)
	for name, text := range tree(t, folder) {
		assert.NotContains(t, text, "PGHOST", name)
		assert.NotContains(t, text, "5432", name)
	}
}

// The service logs in as the role and by the Secret of the reference service, and not as the superuser or as the migrations' role.
func TestTheServiceLogsInAsTheReferenceServiceDoes(t *testing.T) {
	reference, err := os.ReadFile("../../k8s/base/app/app-deployment.yaml")
	require.NoError(t, err)
	folder := repo(t, map[string]string{"Dockerfile": python})
	code, a, _ := initialise(t, folder, append(given, "--database", "mydb")...)
	require.Equal(t, slipway.Done, code)
	login := environment(t, string(reference))
	require.Equal(t, "mydb_service", login["PGUSER"]["value"])
	own := environment(t, tree(t, folder)["k8s/base/deployment.yaml"])
	for _, variable := range []string{"PGDATABASE", "PGUSER", "PGPASSWORD"} {
		assert.Equal(t, login[variable], own[variable])
	}
	assert.Contains(t, strings.Join(a.Next, "\n"), "kubectl create secret generic postgres-roles -n prod --from-env-file=/dev/stdin  "+
		"# service=..., the password of mydb_service")

	folder = repo(t, map[string]string{"Dockerfile": python})
	code, _, _ = initialise(t, folder, append(given, "--database", "mydb", "--db-user", "app", "--db-secret", "orders-login")...)
	require.Equal(t, slipway.Done, code)
	own = environment(t, tree(t, folder)["k8s/base/deployment.yaml"])
	assert.Equal(t, "app", own["PGUSER"]["value"])
	assert.Equal(t, map[string]any{"secretKeyRef": map[string]any{"name": "orders-login", "key": "service"}}, own["PGPASSWORD"]["valueFrom"])
}

// environment are the variables of a Deployment's first container, by their names.
func environment(t *testing.T, manifest string) map[string]map[string]any {
	t.Helper()
	var deployment struct {
		Spec struct {
			Template struct {
				Spec struct {
					Containers []struct{ Env []map[string]any }
				}
			}
		}
	}
	text, _, _ := strings.Cut(manifest, "\n---\n")
	require.NoError(t, yaml.Unmarshal([]byte(text), &deployment))
	variables := map[string]map[string]any{}
	for _, variable := range deployment.Spec.Template.Spec.Containers[0].Env {
		variables[variable["name"].(string)] = variable
	}
	return variables
}

func TestADryRunPrintsAndWritesNothing(t *testing.T) {
	folder := repo(t, map[string]string{"Dockerfile": python})
	before := tree(t, folder)
	code, a, _ := initialise(t, folder, append(given, "--dry-run")...)
	require.Equal(t, slipway.Done, code)
	require.NotEmpty(t, a.Files)
	for _, each := range a.Files {
		assert.NotEmpty(t, each.Text, each.Path)
	}
	assert.Equal(t, before, tree(t, folder))
}

func TestWhatExistsIsLeftAloneAndWhatItLacksIsSaid(t *testing.T) {
	const mine = `apiVersion: apps/v1
kind: Deployment
metadata: {name: orders}
spec:
  replicas: 3
  selector: {matchLabels: {app: orders}}
  template:
    metadata: {labels: {app: orders}}
    spec:
      containers:
        - {name: web, image: "nexus.example:8083/orders:1", ports: [{containerPort: 9000}]}
`
	for name, test := range map[string]struct {
		files map[string]string
		lacks map[string][]string // a part of each line
		not   []string            // that is not written
	}{
		"a Jenkinsfile of another kind": {map[string]string{"Jenkinsfile": "pipeline { agent any }\n"},
			map[string][]string{"Jenkinsfile": {"@Library('slipway@v1') _", "stagingPipeline(app: 'order-service'"}}, nil},
		"a Jenkinsfile with another version": {map[string]string{"Jenkinsfile": "@Library('slipway@v2') _\nstagingPipeline(app: 'x')\n"},
			map[string][]string{"Jenkinsfile": {}}, nil},
		"a policy with a mistake": {map[string]string{"slipway/policy.yaml": "production: {breaking: never}\n"},
			map[string][]string{"slipway/policy.yaml": {"correct line 1"}}, nil},
		"jobs of another service": {map[string]string{"slipway/jenkins.yaml": "jobs: []\n"},
			map[string][]string{"slipway/jenkins.yaml": {"build/", "staging/", "production/"}}, nil},
		"a Deployment": {map[string]string{"deploy/app.yml": mine},
			map[string][]string{"deploy/app.yml": {"spec.replicas", "maxUnavailable", "imagePullSecrets", "image: take it out", "readinessProbe",
				"preStop", "no Service", "no PodDisruptionBudget"}}, []string{own, "k8s/staging/kustomization.yaml"}},
		"a kustomization that sets the image": {
			map[string]string{"deploy/app.yml": mine, "deploy/kustomization.yaml": "images: [{name: orders, newTag: '3'}]\n"},
			map[string][]string{"deploy/kustomization.yaml": {"images (orders)"}}, nil},
		"a folder in the place of a file": {map[string]string{"Jenkinsfile/README": ""},
			map[string][]string{"Jenkinsfile": {"no regular file"}}, nil},
		"an empty Dockerfile": {map[string]string{"Dockerfile": ""}, map[string][]string{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"Dockerfile": python}
			for file, text := range test.files {
				files[file] = text
			}
			folder := repo(t, files)
			before := tree(t, folder)
			code, a, _ := initialise(t, folder, append(given, "--port", "8080", "--health", "/healthz")...)
			after := tree(t, folder)
			for file, text := range before {
				assert.Equal(t, text, after[file], "%s is as it was", file)
			}
			for _, file := range test.not {
				assert.NotContains(t, after, file)
			}
			count := 0
			for file, parts := range test.lacks {
				i := slices.IndexFunc(a.Existing, func(e existing) bool { return e.Path == file })
				require.GreaterOrEqual(t, i, 0, "%s is not spoken of: %v", file, a.Existing)
				assert.Len(t, a.Existing[i].Lacks, len(parts), "%v", a.Existing[i].Lacks)
				for _, part := range parts {
					assert.Contains(t, strings.Join(a.Existing[i].Lacks, "\n"), part)
				}
				count += len(parts)
			}
			if count > 0 {
				assert.Equal(t, slipway.No, code)
			} else {
				assert.Equal(t, slipway.Done, code)
			}
		})
	}
}

func TestItIsAllOrNothing(t *testing.T) {
	for name, break_ := range map[string]func(t *testing.T, folder string){
		"a file where a folder should be": func(t *testing.T, folder string) {
			require.NoError(t, os.WriteFile(filepath.Join(folder, "slipway"), nil, 0o644))
		},
		"a link out of the repository": func(t *testing.T, folder string) {
			require.NoError(t, os.Symlink(t.TempDir(), filepath.Join(folder, "slipway")))
		},
		"a link to nothing": func(t *testing.T, folder string) {
			require.NoError(t, os.Symlink("nowhere", filepath.Join(folder, "slipway")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			folder := repo(t, map[string]string{"Dockerfile": python})
			break_(t, folder)
			before := tree(t, folder)
			code, _, stderr := initialise(t, folder, given...)
			assert.Contains(t, []int{slipway.Usage, slipway.Unknown}, code)
			assert.Contains(t, stderr, "nothing was written")
			assert.Equal(t, before, tree(t, folder))
		})
	}
}

func TestWithoutADockerfileTheRestIsWritten(t *testing.T) {
	folder := repo(t, nil)
	code, a, _ := initialise(t, folder, append(given, "--port", "8080", "--health", "/healthz")...)
	assert.Equal(t, slipway.No, code)
	assert.Equal(t, []existing{{"Dockerfile", []string{"there is none at the root of the repository; the pipeline builds it"}}}, a.Existing)
	assert.Contains(t, tree(t, folder), "Jenkinsfile")
}

func TestASignalLeavesNothingBehind(t *testing.T) {
	folder := repo(t, nil)
	root, err := open(folder)
	require.NoError(t, err)
	defer root.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, write(ctx, root, []file{{"k8s/base/a", "1"}, {"b", "2"}}), context.Canceled)
	assert.Empty(t, tree(t, folder))
}

func TestMistakesAndMissingValuesAreSaidAtOnceAndNothingIsWritten(t *testing.T) {
	for name, test := range map[string]struct {
		files     map[string]string
		arguments []string
		says      []string
	}{
		"nothing is known": {nil, nil, []string{"--registry", "--port", "--health", "--git-url", "give the values by these flags"}},
		"two ports":        {map[string]string{"Dockerfile": "FROM x\nEXPOSE 80 443\n"}, given, []string{"--port", "[80 443]"}},
		"mistakes": {map[string]string{"Dockerfile": python}, []string{"--registry", "https://nexus.example", "--app", "A'; evil()",
			"--port", "70000", "--db-user", "app}, {name: x",
			"--health", "healthz\n- x", "--branch", "'x", "--user", "0", "--approver", "a]b", "--git-url", "https://x/y"},
			[]string{"--registry", "--app", "--port", "--health", "--branch", "--user", "--db-user", "--approver"}},
		"a login in the URL": {map[string]string{"Dockerfile": python}, []string{"--registry", "r", "--git-url", "https://ada:s3cret@x/y.git"},
			[]string{"--git-url holds a login"}},
		"one namespace": {map[string]string{"Dockerfile": python}, append(given, "--production-namespace", "staging"), []string{"are the same"}},
	} {
		t.Run(name, func(t *testing.T) {
			folder := repo(t, test.files)
			before := tree(t, folder)
			code, a, stderr := initialise(t, folder, test.arguments...)
			assert.Equal(t, slipway.Usage, code)
			require.NotNil(t, a.Error)
			for _, part := range test.says {
				assert.Contains(t, stderr, part)
			}
			assert.NotContains(t, stderr, "s3cret")
			assert.Equal(t, before, tree(t, folder))
		})
	}
	folder := t.TempDir()
	var stderr bytes.Buffer
	app := App()
	app.Writer, app.ErrWriter = &stderr, &stderr
	assert.Equal(t, slipway.Usage, slipway.Execute(t.Context(), app, append([]string{"init", folder}, given...)))
	assert.Contains(t, stderr.String(), "is not the root of a git repository")
}

func TestALoginOfTheRemoteIsWrittenNowhere(t *testing.T) {
	folder := repo(t, map[string]string{"Dockerfile": python})
	require.NoError(
		t,
		exec.CommandContext(t.Context(), "git", "-C", folder, "remote", "add", "origin", "https://ada:s3cret@gitee.example/team/billing.git").
			Run(),
	)
	code, a, _ := initialise(t, folder, "--registry", "nexus.example:8083")
	require.Equal(t, slipway.Done, code)
	assert.Equal(t, "billing", a.App)
	for name, text := range tree(t, folder) {
		assert.NotContains(t, text, "s3cret", name)
	}
	assert.Contains(t, tree(t, folder)["slipway/jenkins.yaml"], "remote('https://gitee.example/team/billing.git')")
}

func TestAPersonIsAskedForWhatIsNotGiven(t *testing.T) {
	folder := repo(t, map[string]string{"Dockerfile": python})
	root, err := open(folder)
	require.NoError(t, err)
	defer root.Close()
	var asked bytes.Buffer
	app := App()
	app.ErrWriter, app.Writer = &asked, &asked
	typed := questions(strings.NewReader("\nhttp://wrong\nnexus.example:8083\n\n/live\nhttps://gitee.example/a.git\n"), &asked)
	var v values
	app.Action = func(c *cli.Context) error {
		v, err = resolve(c, look(c.Context, root, &manifests{}), typed)
		return err
	}
	require.Equal(t, slipway.Done, slipway.Execute(t.Context(), app, []string{"init"}), asked.String())
	assert.Equal(
		t,
		[]any{"order-service", "nexus.example:8083", 8080, "/live", "https://gitee.example/a.git"},
		[]any{v.App, v.Registry, v.Port, v.Health, v.Remote},
	)
	assert.Contains(t, asked.String(), "Name of the service [order-service]: ")
	assert.Contains(t, asked.String(), `"http://wrong" is not HOST, HOST:PORT`)
}
