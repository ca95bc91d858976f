package registry

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTheGateAsAPipelineAsks pushes with findings, waivers and databases of all kinds: what is refused never reaches the registry.
func TestTheGateAsAPipelineAsks(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	pair, image := newKeys(t), newImage(t, "1234567", 1000, 1)
	config, err := image.ConfigName()
	require.NoError(t, err)
	tar := writeTar(t, image)
	report := func(id, severity string) string {
		return statement(t, `{"SchemaVersion":2,"ArtifactType":"container_image","Metadata":{"ImageID":"`+id+
			`"},"Results":[{"Class":"lang-pkgs","Vulnerabilities":[{"VulnerabilityID":"CVE-2026-1","PkgName":"starlette",`+
			`"InstalledVersion":"0.1","FixedVersion":"0.2","Severity":"`+
			severity+`"}]}]}`)
	}
	day := func(days int) string { return time.Now().UTC().AddDate(0, 0, days).Format(time.DateOnly) }
	waiver := func(until string) string {
		return statement(t, "waivers: [{id: CVE-2026-1, reason: is not reached, owner: ada, until: "+until+"}]")
	}
	scanner := func(at string) string {
		return statement(t, `{"Version":"0.74.0","VulnerabilityDB":{"UpdatedAt":"`+at+`"}}`)
	}
	fresh, own := scanner(time.Now().UTC().Format(time.RFC3339)), config.String()
	for name, test := range map[string]struct {
		report, scanner, waivers string
		code                     int
		says, scan               string
	}{
		"findings":         {report(own, "CRITICAL"), fresh, "/none", 1, "the image has 1 findings of HIGH,CRITICAL", "findings"},
		"an ended waiver":  {report(own, "LOW"), fresh, waiver(day(-1)), 1, "a waiver has ended", ""},
		"too far ahead":    {report(own, "HIGH"), fresh, waiver(day(91)), 2, "91 days ahead, and 90 is the most", ""},
		"an old database":  {report(own, "LOW"), scanner("2026-01-01T00:00:00Z"), "/none", 3, "older than 168h0m0s", ""},
		"no database":      {report(own, "LOW"), statement(t, `{"Version":"0.74.0"}`), "/none", 3, "or had none", ""},
		"another image":    {report("sha256:"+strings.Repeat("1", 64), "LOW"), fresh, "/none", 4, "the scan is of another image", ""},
		"a failed scanner": {statement(t, ""), fresh, "/none", 3, "the scanner failed", ""},
		"clean":            {report(own, "MEDIUM"), fresh, "/none", 0, "", "clean"},
		"waived":           {report(own, "HIGH"), fresh, waiver(day(90)), 0, "", "clean"},
	} {
		target := s.Host + "/gate/" + strings.ReplaceAll(name, " ", "-") + ":latest-1"
		flags := []string{"--answer", "--severity", "HIGH,CRITICAL", "--scan-max-age", "168h", "--scanner", test.scanner,
			"--waivers", test.waivers}
		before := s.Requests()
		pushed := s.helper(t, "nexus-push", append(flags, "--tar", tar, "--evidence", "scan="+test.report, "--key", pair.private, target)...)
		if test.code != 0 {
			assert.Equal(t, before, s.Requests(), "%s: nothing was sent", name)
		}
		judged := start(t, s.env, "slipway",
			append([]string{"phase", "--answer", "gate", "--tar", tar, "--report", test.report}, flags[1:]...)...)
		for _, got := range []answer{pushed, judged} {
			var document struct {
				Exit                   int
				Scan, Waived, Warnings string
				Error                  struct{ Message, Why, Hint string }
			}
			require.NoError(t, json.Unmarshal([]byte(got.Stdout), &document), got.Stdout+got.Stderr)
			assert.Equal(t, test.code, document.Exit, "%s: %+v", name, document)
			assert.Equal(t, test.scan, document.Scan, name)
			assert.Contains(t, document.Error.Message+document.Error.Why, test.says, name)
			if name == "waived" {
				assert.Equal(t, "HIGH CVE-2026-1 of starlette is waived until "+day(90)+" by ada: is not reached", document.Waived)
			}
		}
	}
	// Production reads what was waived from what was signed.
	found := s.helper(t, "slipway", "phase", "--answer", "find", "--require", "scan", "--key", pair.public, s.Host+"/gate/waived")
	assert.Contains(t, found.Stdout, `"waived":"HIGH CVE-2026-1 of starlette is waived until `+day(90)+` by ada: is not reached"`,
		found.Stderr)
	for _, wrong := range [][]string{
		{"--severity", "HIGH"}, {"--severity", "high", "--evidence", "scan=" + report(own, "LOW")}, {"--waivers", waiver(day(1))},
	} {
		got := s.helper(t, "nexus-push", append(wrong, "--tar", tar, s.Host+"/gate/wrong:latest-1")...)
		assert.Equal(t, 2, got.Code, got.Stderr)
	}
}
