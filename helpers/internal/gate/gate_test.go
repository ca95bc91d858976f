package gate

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

var now = time.Date(2026, 11, 30, 23, 59, 0, 0, time.FixedZone("", 5*3600)) // the 30th in UTC, too

func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "slipway-waivers.yaml")
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	return name
}

func waiver(id, more string) string {
	return "waivers:\n- {id: " + id + ", reason: is not reached, owner: ada, until: 2027-01-31" + more + "}\n"
}

func TestAWaiverCoversItsFindingAlone(t *testing.T) {
	high := Finding{"CVE-2026-1", "python_multipart", "0.0.5", "0.0.7", "HIGH"}
	for name, test := range map[string]struct {
		waivers  string
		findings []Finding
		open     int
		waived   int
	}{
		"no waiver":                    {"", []Finding{high}, 1, 0},
		"of the finding":               {waiver("CVE-2026-1", ""), []Finding{high}, 0, 1},
		"of another finding":           {waiver("CVE-2026-12", ""), []Finding{high}, 1, 0},
		"of the beginning of its name": {waiver("CVE-2026", ""), []Finding{high}, 1, 0},
		"of the package":               {waiver("CVE-2026-1", ", package: Python-Multipart"), []Finding{high}, 0, 1},
		"of another package":           {waiver("CVE-2026-1", ", package: multipart"), []Finding{high}, 1, 0},
		"the same finding elsewhere": {
			waiver("CVE-2026-1", ", package: python-multipart"), []Finding{high, {"CVE-2026-1", "starlette", "1", "", "HIGH"}}, 1, 1},
		"in two places":                 {waiver("CVE-2026-1", ""), []Finding{high, high}, 0, 1},
		"two open places are one":       {"", []Finding{high, high}, 1, 0},
		"of a severity that is let by":  {"", []Finding{{"CVE-2026-1", "x", "1", "", "MEDIUM"}, {"CVE-2026-2", "x", "1", "", "UNKNOWN"}}, 0, 0},
		"a waiver that nothing needs":   {waiver("CVE-2026-9", ""), nil, 0, 0},
		"one of two findings is waived": {waiver("CVE-2026-1", ""), []Finding{high, {"CVE-2026-2", "x", "1", "2", "CRITICAL"}}, 1, 1},
		"written with another case":     {waiver("cve-2026-1", ""), []Finding{high}, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			waivers, warnings, err := Read([]string{file(t, test.waivers)}, now)
			require.NoError(t, err)
			assert.Empty(t, warnings)
			g, err := New("HIGH,CRITICAL", waivers)
			require.NoError(t, err)
			waived, err := g.Decide(test.findings)
			assert.Len(t, waived, test.waived)
			if test.open == 0 {
				require.NoError(t, err)
				return
			}
			assert.Equal(t, slipway.No, slipway.AsError(err).Code)
			assert.ErrorContains(t, err, fmt.Sprintf("the image has %d findings of HIGH,CRITICAL that no waiver covers", test.open))
		})
	}
}

func TestAWaiverEnds(t *testing.T) {
	for until, wanted := range map[string]string{
		"2026-11-29": "ended", "2025-11-30": "ended", "2026-11-30": "warned", "2026-12-07": "warned", "2026-12-08": "", "2027-02-28": "",
		"2027-03-01": "91 days ahead, and 90 is the most", "2099-01-01": "days ahead", `"2027-01-31"`: "", `"2026-12-01"`: "warned",
		"2026-11-31": "is no day", "tomorrow": "is no day", "2027-01-31T00:00:00Z": "is no day", "20270131": "is no text",
		"31.01.2027": "is no day",
		"2027-1-31":  "is no day", "90d": "is no day", `""`: "is empty", "null": "is no text", "[2027-01-31]": "is no text",
	} {
		text := strings.Replace(waiver("CVE-2026-1", ""), "2027-01-31", until, 1)
		waivers, warnings, err := Read([]string{file(t, text)}, now)
		switch wanted {
		case "":
			require.NoError(t, err, until)
			assert.Empty(t, warnings, until)
			assert.Len(t, waivers, 1)
		case "warned":
			require.NoError(t, err, until)
			assert.Equal(t, []string{"the waiver of CVE-2026-1 (slipway-waivers.yaml line 2, owner ada) ends on " + strings.Trim(until, `"`) +
				": from the day after, the build fails"}, warnings)
		case "ended":
			assert.Equal(t, slipway.No, slipway.AsError(err).Code, until)
			assert.ErrorContains(t, err, "a waiver has ended; the waiver of CVE-2026-1 (slipway-waivers.yaml line 2, owner ada) ended on "+until)
		default:
			assert.Equal(t, slipway.Usage, slipway.AsError(err).Code, until)
			assert.ErrorContains(t, err, wanted, until)
		}
	}
}

func TestEveryMistakeIsToldAtOnce(t *testing.T) {
	site := file(t, waiver("CVE-2026-1", ", until: 2027-01-31"))
	repository := file(t, `waivers:
- id: CVE-2026-1
  reason: is not reached
  owner: ada
  until: 2027-01-31
- id: CVE-2026-1
  reason: again
  owner: ada
  until: 2027-01-31
- CVE-2026-2
- {id: "CVE-*", reason: all, owner: ada, until: 2027-01-31, severity: HIGH}
- {id: CVE-2026-3, reason: "", owner: "a\nb", until: 2027-09-30, package: "*"}
- {id: 17, owner: [ada]}
- {id: CVE-2026-4, reason: ended, owner: ada, until: 2026-01-31}
also: 1
`)
	_, _, err := Read([]string{site, repository, filepath.Join(t.TempDir(), "none.yaml"), t.TempDir()}, now)
	assert.Equal(t, slipway.Usage, slipway.AsError(err).Code)
	for _, said := range []string{
		"line 2: a waiver has the field until twice", "line 6: the waiver of CVE-2026-1 is there twice", "line 10: a waiver is no mapping",
		`line 11: id "CVE-*" is no name of one vulnerability`, `line 11: a waiver has no field "severity"`, "line 12: reason is empty",
		"line 12: owner is empty, or no text on one line", "304 days ahead", `package "*" is no name of one package`, "line 13: id is no text",
		"line 13: owner is no text", "line 13: a waiver lacks the field reason", "line 13: a waiver lacks the field until",
		`line 15: the file has no field "also"`, "owner ada) ended on 2026-01-31", "is no file of at most 1 MB",
	} {
		assert.ErrorContains(t, err, said)
	}
}

func TestWhatIsNoFileOfWaivers(t *testing.T) {
	for text, said := range map[string]string{
		"waivers: {}": "waivers is no list", "- id: x": "the file is no mapping", "waivers: []\n---\nwaivers: []": "a second document",
		"{": "this is not YAML", "waiver: []": `no field "waiver"`, "a: &x [*x]": "", "waivers: [*x]": "this is not YAML",
		"waivers: &a\n- {id: CVE-2026-1, reason: r, owner: o, until: 2027-01-31}\n- *b": "this is not YAML", "\x00": "this is not YAML",
		"waivers: hello": "waivers is no list", "{}": "lacks the field waivers",
	} {
		_, _, err := Read([]string{file(t, text)}, now)
		assert.Equal(t, slipway.Usage, slipway.AsError(err).Code, text)
		assert.ErrorContains(t, err, said, text)
	}
	for _, text := range []string{"", "# none yet\n", "waivers: []\n", "---\nwaivers: []\n"} {
		waivers, _, err := Read([]string{file(t, text), "/does/not/exist"}, now)
		require.NoError(t, err, text)
		assert.Empty(t, waivers)
	}
	_, err := New("HIGH,SEVERE", nil)
	assert.ErrorContains(t, err, "is not a list of UNKNOWN, LOW, MEDIUM, HIGH, CRITICAL")
	_, err = New("high", nil)
	assert.Equal(t, slipway.Usage, slipway.AsError(err).Code)
}

func TestManyFindingsAreCountedAndTheWorstComeFirst(t *testing.T) {
	var found []Finding
	for i := range 300 {
		found = append(found, Finding{fmt.Sprintf("CVE-2026-%d", i), "x", "1", "", "HIGH"})
	}
	g, err := New("HIGH,CRITICAL", nil)
	require.NoError(t, err)
	_, err = g.Decide(append(found, Finding{"CVE-2026-999", "y", "1", "2", "CRITICAL"}))
	assert.ErrorContains(t, err, "the image has 301 findings")
	assert.ErrorContains(t, err, "covers; CRITICAL CVE-2026-999 of y 1 (fixed in 2); HIGH CVE-2026-0 of x 1 (no fix yet);")
	assert.ErrorContains(t, err, "; and 291 more;")
}

// An image that was let by may wait for its promotion until the waiver has ended.
func TestAWaiverThatHasEndedSaysSo(t *testing.T) {
	for until, ended := range map[string]bool{"2026-11-30": false, "2026-11-29": true, "2027-01-01": false} {
		line := Waived{"CVE-2026-1", "x", "HIGH", "is not\nreached", "ada", until}.Line(now)
		assert.Contains(t, line, `HIGH CVE-2026-1 of x is waived until `+until+` by ada: is not\nreached`)
		assert.Equal(t, ended, strings.HasSuffix(line, " (THIS WAIVER HAS ENDED)"), until)
	}
}
