package policy

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestGoodPoliciesAreRead(t *testing.T) {
	for _, file := range samples(t, "good") {
		body, err := os.ReadFile(file)
		require.NoError(t, err)
		_, err = Parse(body)
		assert.NoError(t, err, file)
	}
	body, err := os.ReadFile("testdata/good/whole.yaml")
	require.NoError(t, err)
	found, err := Parse(body)
	require.NoError(t, err)
	p := found.Production
	assert.Equal(t, Rule{Required: 2, From: []string{"release-managers"}, NotAuthors: true, NotStarter: true}, p.Approvals[Promotion])
	assert.Equal(t, Rule{Required: 1, From: []string{"dba"}}, p.Approvals[Migration])
	assert.Equal(t, []string{"1001+carol@users.noreply.example.org"}, p.People["1001"])
	assert.Equal(t, Evidence{Require: []string{"scan", "staging-verified"}, ScanMaxAge: 7 * 24 * time.Hour}, p.Evidence)
	assert.Equal(t, Canary{MinWeight: 5, MinDuration: 10 * time.Minute, MinRequests: 500}, p.Canary)
	assert.Equal(t, []string{Refuse, Refuse}, []string{p.Breaking, p.PrivilegedSQL})
	assert.Len(t, p.Windows, 3)
	assert.Equal(t, &Rule{Required: 1, From: []string{"incident-leads"}}, p.Override)
}

func samples(t *testing.T, kind string) []string {
	t.Helper()
	found, err := filepath.Glob("testdata/" + kind + "/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, found)
	return found
}

func TestBadPoliciesAreRefusedWithALine(t *testing.T) {
	for _, file := range append(samples(t, "bad"), samples(t, "beyond")...) {
		body, err := os.ReadFile(file)
		require.NoError(t, err)
		_, err = Parse(body)
		var mistakes Mistakes
		if assert.True(t, errors.As(err, &mistakes), file) {
			assert.Len(t, mistakes, 1, "%s: %s", file, err)
			assert.Positive(t, mistakes[0].Line, file)
		}
	}
}

func TestAllMistakesAreNamedAtOnce(t *testing.T) {
	_, err := Parse([]byte(`production:
  aprovals: {}
  people: {ada: [ada]}
  windows:
    - deny: "Fri 16:00 - Mun 07:00"
      timezone: Europe/Berlin
      reson: weekend
    - {deny: "2026-12-19 - 2026-13-04", timezone: Mars/Olympus}
  canary: {minWeight: 0, minDuration: 10m}
  breaking: refused
`))
	var mistakes Mistakes
	require.True(t, errors.As(err, &mistakes))
	var text []string
	for _, each := range mistakes {
		text = append(text, each.String())
	}
	assert.Equal(t, `line 2: production has no field "aprovals", did you mean "approvals"?
line 3: production.people.ada[0]: "ada" is not an address such as ada@example.org
line 5: production.windows[0].deny: "Fri 16:00 - Mun 07:00" is not a window such as "Fri 16:00 - Mon 07:00" or "2026-12-19 - 2027-01-04"
line 7: production.windows[0] has no field "reson", did you mean "reason"?
line 8: production.windows[1].timezone: "Mars/Olympus" is not a time zone such as Europe/Berlin or UTC
line 8: production.windows[1].deny: "2026-12-19 - 2026-13-04" names 2026-13-04, which is no date
line 9: production.canary.minWeight: 0 is not a whole number from 1 to 99
line 10: production.breaking: "refused" is not one of refuse, approve`, strings.Join(text, "\n"))
}

func TestWhatIsNotYAMLIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"production: {":                "this is not YAML",
		"a: b\n\tc: d":                 "this is not YAML",
		"a: \xff":                      "this is not YAML",
		"production: &a {canary: *a":   "this is not YAML",
		"x: &a {}\nproduction: *a":     "an alias",
		"<<: {production: {}}":         `no field "<<"`,
		"? [a]\n: b":                   "no field",
		"just text":                    `the text "just text"`,
		strings.Repeat("#", Largest+1): "larger than",
	} {
		_, err := Parse([]byte(text))
		if assert.Error(t, err, text[:min(len(text), 40)]) {
			assert.Contains(t, err.Error(), want)
		}
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{"7d": 168 * time.Hour, "2w": 336 * time.Hour, "1d12h": 36 * time.Hour,
		"90m": 90 * time.Minute, "1s": time.Second} {
		got, ok := Duration(text)
		assert.True(t, ok, text)
		assert.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "7", "d", "-1d", "1.5h", "7D", "1 d", "0s", "10001d", "9223372036854775807s", "10000d1s"} {
		_, ok := Duration(text)
		assert.False(t, ok, text)
	}
}

// FuzzParse: whatever the file holds, it is read or every mistake has a line and one line of text.
func FuzzParse(f *testing.F) {
	for _, kind := range []string{"good", "bad", "beyond"} {
		found, _ := filepath.Glob("testdata/" + kind + "/*.yaml")
		for _, file := range found {
			body, err := os.ReadFile(file)
			require.NoError(f, err)
			f.Add(body)
		}
	}
	f.Add([]byte("production: &a\n  windows: [*a]"))
	f.Add([]byte("production: {windows: [{deny: !!binary aGk=, timezone: !x y}]}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		found, err := Parse(body)
		if err == nil {
			for _, at := range []time.Time{time.Unix(0, 0), time.Date(2026, 10, 25, 1, 30, 0, 0, time.UTC)} {
				closing := found.Production.At(at)
				_ = closing.String()
			}
			found.Production.Gate(Promotion, Run{Approvers: "a,b", Authors: map[string]string{"a@b.example": "1"}, Starters: []string{"a"}})
			return
		}
		var mistakes Mistakes
		require.True(t, errors.As(err, &mistakes), "%v", err)
		require.NotEmpty(t, mistakes)
		for _, each := range mistakes {
			assert.Positive(t, each.Line)
			assert.NotContains(t, each.Text, "\n")
		}
	})
}
