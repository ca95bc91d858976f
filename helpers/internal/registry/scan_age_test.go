package registry

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// What became known after the database was made, no scan has looked for.
func TestAScanWithAnOldDatabaseIsNoEvidence(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	const (
		id     = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
		about  = `{"SchemaVersion":2,"ArtifactType":"container_image","Metadata":{"ImageID":"` + id + `"},`
		python = about + `"Results":[{"Class":"lang-pkgs","Type":"python-pkg"}]}`
		java   = about + `"Results":[{"Class":"lang-pkgs","Type":"python-pkg"},{"Class":"lang-pkgs","Type":"jar","Vulnerabilities":[]}]}`
		trivy  = `{"Version":"0.74.0","VulnerabilityDB":`
		day    = `{"UpdatedAt":"2026-11-29T06:00:00Z"}`
	)
	for name, c := range map[string]struct {
		report, scanner, complaint string
	}{
		"of yesterday":           {python, trivy + day + `}`, ""},
		"a week and a second":    {python, trivy + `{"UpdatedAt":"2026-11-23T11:59:59Z"}}`, "database is of 2026-11-23, older than 168h0m0s"},
		"exactly a week":         {python, trivy + `{"UpdatedAt":"2026-11-23T12:00:00Z"}}`, ""},
		"no database":            {python, `{"Version":"0.74.0"}`, "does not say of when"},
		"never updated":          {python, trivy + `{}}`, "or had none"},
		"no scanner":             {python, "", "does not say of when"},
		"Java's of three weeks":  {java, trivy + day + `,"JavaDB":{"UpdatedAt":"2026-11-09T06:00:00Z"}}`, ""},
		"Java's of five weeks":   {java, trivy + day + `,"JavaDB":{"UpdatedAt":"2026-10-25T06:00:00Z"}}`, "Java database is of 2026-10-25"},
		"Java without its own":   {java, trivy + day + `}`, "Java database is of 0001-01-01"},
		"Java's old, no archive": {python, trivy + day + `,"JavaDB":{"UpdatedAt":"2025-10-25T06:00:00Z"}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			report, scanner := filepath.Join(t.TempDir(), "trivy.json"), ""
			require.NoError(t, os.WriteFile(report, []byte(c.report), 0o600))
			if c.scanner != "" {
				scanner = filepath.Join(t.TempDir(), "version.json")
				require.NoError(t, os.WriteFile(scanner, []byte(c.scanner), 0o600))
			}
			s := Statement{Type: "scan", File: report, Scanner: scanner, MaxAge: 7 * 24 * time.Hour}
			err := s.Read(now)
			if c.complaint == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.complaint)
				var told *slipway.Error
				require.ErrorAs(t, err, &told)
				assert.Equal(t, slipway.Unknown, told.Code)
			}
			s.MaxAge = 0
			assert.NoError(t, s.Read(now), "without a maximum any age is taken")
		})
	}
}
