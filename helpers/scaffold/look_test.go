package scaffold

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWhatADockerfileSaysOfItsContainer(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want image
	}{
		"plain":                    {"FROM x\nEXPOSE 8000\nUSER 1001\n", image{ports: []int{8000}, user: 1001}},
		"lower case and Windows":   {"from x\r\nexpose 8000/tcp\r\nuser 1001:1001\r\n", image{ports: []int{8000}, user: 1001}},
		"a variable":               {"FROM x\nARG PORT=3000\nENV APP_PORT=$PORT\nEXPOSE ${APP_PORT}\n", image{ports: []int{3000}}},
		"the older form of ENV":    {"FROM x\nENV PORT 3000\nEXPOSE $PORT\n", image{ports: []int{3000}}},
		"a default":                {"FROM x\nEXPOSE ${PORT:-9000}\n", image{ports: []int{9000}}},
		"a variable without value": {"FROM x\nARG PORT\nEXPOSE $PORT\n", image{}},
		"several":                  {"FROM x\nEXPOSE 80 443\n", image{ports: []int{80, 443}}},
		"one twice, and UDP":       {"FROM x\nEXPOSE 53/udp 8000 8000/tcp\n", image{ports: []int{8000}}},
		"the last stage alone":     {"FROM x AS build\nEXPOSE 1\nUSER 5\nFROM y\nEXPOSE 2\n", image{ports: []int{2}}},
		"a stage on another":       {"FROM x AS base\nEXPOSE 1\nFROM --platform=linux/amd64 base AS z\nUSER 7", image{ports: []int{1}, user: 7}},
		"a user by name":           {"FROM x\nUSER app\n", image{}},
		"a comment":                {"FROM x\n# EXPOSE 1\nEXPOSE 2 \n", image{ports: []int{2}}},
		"a continued line": {"FROM x\nHEALTHCHECK --interval=5s \\\n  # why\n  CMD wget http://127.0.0.1:${PORT:-80}/health/live || exit 1\n",
			image{health: "/health/live"}},
		"no health check": {"FROM x\nHEALTHCHECK CMD curl http://localhost/up\nHEALTHCHECK NONE\n", image{}},
		"an exec form":    {"FROM x\nHEALTHCHECK CMD [\"curl\", \"-f\", \"http://localhost:8000/status\"]\n", image{health: "/status"}},
		"empty":           {"", image{}},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, test.want, readDockerfile(test.text)) })
	}
}

func TestWhatIsReadFromTheSources(t *testing.T) {
	for name, test := range map[string]struct {
		files                     map[string]string
		health, ready, migrations string
	}{
		"FastAPI":         {map[string]string{"app/main.py": "@app.get(\"/healthz\")\n@app.get('/readyz')\n"}, "/healthz", "/readyz", ""},
		"Go 1.22":         {map[string]string{"cmd/server/main.go": "mux.HandleFunc(\"GET /livez\", ok)"}, "/livez", "", ""},
		"Express":         {map[string]string{"src/index.js": "app.get('/health', ok)", "node_modules/a/b.js": "'/healthz'"}, "/health", "", ""},
		"readiness alone": {map[string]string{"main.go": "\"/ready\""}, "/ready", "/ready", ""},
		"Spring and Flyway": {map[string]string{"src/main/java/A.java": "\"/actuator/health/readiness\" \"/actuator/health/liveness\"",
			"src/main/resources/db/migration/V1__a.sql": ""},
			"/actuator/health/liveness", "/actuator/health/readiness", "src/main/resources/db/migration"},
		"only its tests ask": {map[string]string{"tests/a.py": "'/healthz'", "main_test.go": "\"/healthz\"", "test_a.py": "'/healthz'"},
			"", "", ""},
		"a manifest": {map[string]string{"deploy/a.yaml": "kind: Deployment\nmetadata: {name: a}\nspec: {selector: {}, template: {spec: " +
			"{containers: [{name: a, ports: [{containerPort: 7000}], livenessProbe: {httpGet: {path: /l}}, " +
			"readinessProbe: {httpGet: {path: /r}}}]}}}\n", "a.go": "\"/healthz\""}, "/l", "/r", ""},
		"SQL that is no migration": {map[string]string{"queries/a.sql": ""}, "", "", ""},
		"a text that is no path":   {map[string]string{"a.py": "# see /healthz\n"}, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			root, err := open(repo(t, test.files))
			require.NoError(t, err)
			defer root.Close()
			objects, err := find(root)
			require.NoError(t, err)
			s := look(t.Context(), root, objects)
			assert.Equal(t, [3]string{test.health, test.ready, test.migrations}, [3]string{s.health, s.ready, s.migrations})
		})
	}
}
