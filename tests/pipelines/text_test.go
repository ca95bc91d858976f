package pipelines

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var textFor = flag.Duration("text.for", 10*time.Second, "how long arbitrary text is sent through the pipelines")

// hostile are texts that once decided what a run does, and their siblings.
var hostile = []string{
	"csv: split on \\nFIRST=true\\n as well\nfirst=true\n{\"first\":true}", "fix: keep \\nCHANGED=false\\r\\nEXIT=1 | in it", `sources are in C:\code\shop \c`,
	"\r\ncanary: healthy\x1b[2J\x1b]0;x\a\u202e\u2066\u200b", "$(touch EXECUTED)`touch EXECUTED`${EXECUTED} '; touch EXECUTED; \"; touch EXECUTED; #",
	"ERROR: slipway: \nFinished: SUCCESS\n[Pipeline] }\nslipway-record: {}", "\x00\x7f\u2028\u2029\ufeff", "", strings.Repeat("long ", 5000), `"}],"exit":0,"error":null}`,
}

// arbitrary is any text: pieces of those above between any characters.
func arbitrary(random *rand.Rand) string {
	var out strings.Builder
	for range 1 + random.IntN(8) {
		switch piece := hostile[random.IntN(len(hostile))]; random.IntN(4) {
		case 0:
			out.WriteRune(rune(random.IntN(unicode.MaxRune)))
		case 1:
			out.WriteByte(byte(random.IntN(256)))
		case 2:
			if len(piece) > 0 {
				at := random.IntN(len(piece))
				out.WriteString(piece[at:min(len(piece), at+1+random.IntN(40))])
			}
		default:
			out.WriteString(piece)
		}
	}
	return out.String()
}

// keys are the calls of a run, in their order.
func keys(p played) []string {
	var found []string
	for _, c := range p.calls {
		found = append(found, c.What+" "+c.Key)
	}
	return found
}

// scene is a run, and the environment of the helpers that makes it what it is.
type textScene struct {
	name, jenkinsfile string
	environment       []string
	arguments         []string
}

var textScenes = []textScene{
	{"production", "Jenkinsfile.prod", nil, []string{"--answer", "yes"}},
	{"production, refused", "Jenkinsfile.prod", []string{"REPLAY_REFUSES=phase judge"}, []string{"--answer", "yes"}},
	{"production, not undone", "Jenkinsfile.prod", []string{"REPLAY_REFUSES=phase promote:phase undo stable canary"}, []string{"--answer", "yes"}},
	{"staging", "Jenkinsfile", nil, nil},
	{"staging, refused", "Jenkinsfile", []string{"REPLAY_REFUSES=phase smoke"}, nil},
}

// Whatever a commit, a branch, a log or a registry says in its own words is shown, and decides nothing.
func TestArbitraryTextDecidesNothing(t *testing.T) {
	l := newLocal(t)
	baseline := map[string]played{}
	play := func(t *testing.T, s textScene, text string) (played, string) {
		t.Helper()
		home := filepath.Join(t.TempDir(), "home")
		file := filepath.Join(t.TempDir(), "text")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		p, err := l.play(t.Context(), home, s.jenkinsfile, append([]string{"REPLAY_TEXT=" + file}, s.environment...), append(s.arguments, "--sandbox", "--untrusted")...)
		require.NoError(t, err)
		return p, home
	}
	for _, s := range textScenes {
		baseline[s.name], _ = play(t, s, "plain")
		require.NotEmpty(t, baseline[s.name].calls)
	}
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	begin := time.Now()
	for count := 0; ; count++ {
		if time.Since(begin) > *textFor {
			t.Logf("%d texts", count)
			return
		}
		text := arbitrary(random)
		if count < len(hostile) {
			text = hostile[count]
		}
		s := textScenes[count%len(textScenes)]
		p, home := play(t, s, text)
		same := assert.Equal(t, baseline[s.name].result, p.result, "%q", text) &&
			assert.Equal(t, keys(baseline[s.name]), keys(p), "%q", text) &&
			assert.NoError(t, p.validRecord(), "%q", text)
		found, err := filepath.Glob(filepath.Join(home, "*", "*", "EXECUTED"))
		require.NoError(t, err)
		same = assert.Empty(t, found, "%q was executed", text) && same
		if printable := strings.TrimSpace(text); printable != "" && utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
			same = assert.Contains(t, p.console, printable, "shown whole") && same
		}
		require.True(t, same, "%s with %q\n%s", s.name, text, p.console)
	}
}
