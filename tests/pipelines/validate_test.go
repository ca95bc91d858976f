package pipelines

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Stands in for python3, pip and trivy: notes what it was asked, and where. Tests fail where the repository says so.
const noting = `#!/bin/sh
echo "${0##*/} in $PWD: $*" >> "$NOTED"
case "$*" in *pytest*) [ ! -e tests-fail ] || exit 1 ;; esac
while [ $# -gt 0 ]; do
  case "$1" in --output) echo '{}' > "$2" ;; esac
  shift
done
`

type repository map[string]string // bodies by file names

// Nothing looks checked that was not: of a service that the validation does not know, the record and the last lines say so.
func TestWhatWasNotValidatedIsSaidToBeNot(t *testing.T) {
	const (
		hashed, plain = "fastapi==0.1 --hash=sha256:00\n", "fastapi==0.1\n"
		a, tests      = "app/a.py", "tests/app/test_a.py"
	)
	l := newLocal(t)
	noted := filepath.Join(t.TempDir(), "noted")
	for _, name := range []string{"python3", "pip", "trivy"} {
		require.NoError(t, os.WriteFile(filepath.Join(l.bin, name), []byte(noting), 0o755))
	}
	for _, c := range []struct {
		kind, result, says string
		files              repository
	}{
		{"hashes and tests", "SUCCESS", "tests passed", repository{a: "", "requirements.txt": hashed, tests: ""}},
		{"a failing test", "FAILURE", "failed (exit code 1)", repository{a: "", "requirements.txt": hashed, tests: "", "tests-fail": ""}},
		{"no hashes", "SUCCESS", "tests passed; requirements.txt has no hashes",
			repository{a: "", "requirements.txt": plain, tests: ""}},
		{"no hashes and a failing test", "FAILURE", "failed (exit code 1)",
			repository{a: "", "requirements.txt": plain, tests: "", "tests-fail": ""}},
		{"no tests", "SUCCESS", "NOT VALIDATED: compiled and installed only", repository{a: "", "requirements.txt": hashed}},
		{"Poetry", "SUCCESS", "NOT VALIDATED: compiled only",
			repository{a: "", "pyproject.toml": "[tool.poetry]\n", "poetry.lock": "", tests: "", "tests-fail": ""}},
		{"uv", "SUCCESS", "NOT VALIDATED: compiled only",
			repository{a: "", "pyproject.toml": "[project]\n", "uv.lock": "", tests: "", "tests-fail": ""}},
		{"Node", "SUCCESS", "NOT VALIDATED: there is no Python", repository{"package.json": "{}", "index.js": ""}},
		{"Go", "SUCCESS", "NOT VALIDATED: there is no Python", repository{"go.mod": "module a\n", "main_test.go": "package a\n"}},
		{"Java", "SUCCESS", "NOT VALIDATED: there is no Python", repository{"pom.xml": "<project/>", "src/A.java": ""}},
		{"Rust", "SUCCESS", "NOT VALIDATED: there is no Python", repository{"Cargo.toml": "", "src/main.rs": ""}},
	} {
		t.Run(c.kind, func(t *testing.T) {
			run(t, l.repository, "sh", "-c", "git rm -rq --ignore-unmatch app requirements.txt requirements-test.txt tests && git clean -fdq")
			c.files[".trivyignore"], c.files["trivy.yaml"] = "CVE-2021-44228\n", "pkg: {types: [os]}\n"
			for name, body := range c.files {
				file := filepath.Join(l.repository, name)
				require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
				require.NoError(t, os.WriteFile(file, []byte(body), 0o644))
			}
			run(t, l.repository, "git", "add", "-A")
			run(t, l.repository, "git", "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "-q", "--allow-empty", "-m", c.kind)
			defer run(t, l.repository, "git", "reset", "-q", "--hard", "HEAD~1")
			require.NoError(t, os.RemoveAll(noted))
			p, err := l.play(t.Context(), t.TempDir(), "Jenkinsfile", []string{"NOTED=" + noted})
			require.NoError(t, err)
			assert.Equal(t, c.result, p.result, p.console)
			require.NoError(t, p.validRecord())
			assert.Contains(t, p.console, `"validation":"`+c.says, "the record")
			if c.says[0] == 'N' {
				assert.Regexp(t, `(?m)^ *now +.*NOT VALIDATED|^slipway: .*NOT VALIDATED|NOT VALIDATED.*\nFinished`, p.console, "the last lines")
			}
			asked, err := os.ReadFile(noted)
			require.NoError(t, err)
			if c.result == "SUCCESS" {
				assert.Contains(t, string(asked), "trivy in /: ", "Trivy runs where the repository's trivy.yaml and .trivyignore are not")
				assert.NotContains(t, string(asked), "skip-java-db-update")
			}
		})
	}
}
