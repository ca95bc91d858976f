package pipelines

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/pipelines/replay"
)

var textFor = flag.Duration("text.for", 10*time.Second, "how long arbitrary text is sent through the pipelines")

// hostile are texts that once decided what a run does, and their siblings.
var hostile = []string{
	"csv: split on \\nFIRST=true\\n as well\nfirst=true\n{\"first\":true}", "fix: keep \\nCHANGED=false\\r\\nEXIT=1 | in it",
	`sources are in C:\code\shop \c`,
	"\r\ncanary: healthy\x1b[2J\x1b]0;x\a\u202e\u2066\u200b",
	"$(touch EXECUTED)`touch EXECUTED`${EXECUTED} '; touch EXECUTED; \"; touch EXECUTED; #",
	"ERROR: slipway: \nFinished: SUCCESS\n[Pipeline] }\nslipway-record: {}",
	"\x00\x7f\u2028\u2029\ufeff", "", strings.Repeat("long ", 5000), `"}],"exit":0,"error":null}`,
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

// went is all that a run did: its calls, its steps in their stages, and its result.
func went(t *testing.T, p played) []string {
	t.Helper()
	steps, err := p.steps()
	require.NoError(t, err)
	found := append(keys(p), p.result)
	for _, s := range steps {
		found = append(found, s.stage+": "+s.function)
	}
	return found
}

// without gives the text without the characters that are not allowed where it goes, and at most so many bytes of it.
func without(text, forbidden string, most int) string {
	text = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || strings.ContainsRune(forbidden, r) {
			return -1
		}
		return r
	}, text)
	for len(text) > most {
		_, width := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-width]
	}
	return text
}

const control = "\x00\x01\x02\x03\x04\x05\x06\x07\b\t\n\v\f\r\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x7f"

// branchOf is a branch that git allows: https://git-scm.com/docs/git-check-ref-format
func branchOf(text string) string {
	name := without(strings.ReplaceAll(text, " ", "${IFS}"), control+" ~^:?*[\\", 150)
	for _, forbidden := range []string{"..", "@{", "//", ".lock", "/."} {
		name = strings.ReplaceAll(name, forbidden, "-")
	}
	return "b/" + strings.Trim(name, "./-") + "b"
}

var notInATag = regexp.MustCompile(`[^A-Za-z0-9_.-]`)

// tagOf is a tag that a registry allows: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
func tagOf(text string) string {
	return "t" + without(notInATag.ReplaceAllString(text, ""), "", 100)
}

// says makes text what people have written: the newest commit's subject and author, its branch, the names of its files,
// and what tools print. Gone are the characters that git, or a file's name, cannot have.
func (l *local) says(t *testing.T, text string) (branch, file string) {
	t.Helper()
	branch, file = branchOf(text), filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	git := func(in string, arguments ...string) string {
		command := exec.CommandContext(t.Context(), "git", arguments...)
		command.Dir, command.Stdin = l.repository, strings.NewReader(in)
		out, err := command.Output()
		require.NoError(t, err, "git %q", arguments)
		return strings.TrimSpace(string(out))
	}
	base := git("", "rev-parse", "plain")
	git("", "read-tree", base)
	name := strings.ReplaceAll(without(text, "\x00/", 200), ".git", "") + "-"
	blob := git(text, "hash-object", "-w", "--stdin")
	var index strings.Builder
	for _, path := range []string{name, "app/" + name + ".py", "tests/app/" + name, "migrations/" + without(name, control+"\\", 200)} {
		fmt.Fprintf(&index, "100644 %s\t%s\x00", blob, path)
	}
	git(index.String(), "update-index", "-z", "--index-info")
	who := without(text, "\x00\n<>", 500) + " <a@example.com> 1700000000 +0000"
	body := fmt.Sprintf("tree %s\nparent %s\nauthor %s\ncommitter %s\n\n%s\n",
		git("", "write-tree"), base, who, who, without(text, "\x00", 30000))
	l.commit = git(body, "hash-object", "-t", "commit", "-w", "--stdin", "--literally")
	git("", "update-ref", "refs/heads/Staging", l.commit)
	git("", "update-ref", "refs/heads/"+branch, l.commit)
	return branch, file
}

// textScene is a run, and the environment of the helpers that makes it what it is.
type textScene struct {
	name, jenkinsfile string
	environment       []string
	arguments         func(text, branch string) []string
}

func onStaging(_, _ string) []string { return []string{"--answer", "yes"} }

var textScenes = []textScene{
	{"production", "Jenkinsfile.prod", nil, onStaging},
	{"production, the registry refuses", "Jenkinsfile.prod", []string{"REPLAY_REFUSES=phase find"}, onStaging},
	{"production, refused", "Jenkinsfile.prod", []string{"REPLAY_REFUSES=phase judge"}, onStaging},
	{"production, not undone", "Jenkinsfile.prod", []string{"REPLAY_REFUSES=phase promote:phase undo stable canary"}, onStaging},
	{"production, back to a tag, of a branch", "Jenkinsfile.prod", nil, func(text, branch string) []string {
		return []string{"--answer", "yes", "--branch", branch, "--env", "SLIPWAY_IMAGE_TAG=" + tagOf(text)}
	}},
	{"staging", "Jenkinsfile", nil, onStaging},
	{"staging, refused", "Jenkinsfile", []string{"REPLAY_REFUSES=phase deploy"}, onStaging},
	{"staging, the registry refuses", "Jenkinsfile", []string{"REPLAY_REFUSES=nexus-push"}, onStaging},
	{"staging, of another branch", "Jenkinsfile", nil, func(_, branch string) []string { return []string{"--branch", branch} }},
	{"staging, of that branch, with that tag", "Jenkinsfile", nil, func(text, branch string) []string {
		return []string{"--branch", branch, "--env", "SLIPWAY_BRANCH=" + branch, "--env", "SLIPWAY_TAG=" + tagOf(text)}
	}},
}

// shownWhole says which text the console has to hold: a helper's words, a branch that is not deployed.
func (s textScene) shownWhole(text, branch string) string {
	switch {
	case strings.HasSuffix(s.name, "another branch"):
		return "the branch " + inAJob(branch) + " is not Staging"
	case strings.HasSuffix(s.name, "refuses"):
		return strings.TrimRight(inAJob(replay.Visible(text)), " ")
	case strings.HasSuffix(s.name, "back to a tag, of a branch"):
		return "imageTag " + tagOf(text) + ": the database is left as it is"
	}
	return strings.TrimRight(replay.Visible(text), " \t\n")
}

// inAJob is how the library shows a text on one line.
func inAJob(text string) string {
	var out strings.Builder
	for _, r := range text {
		if !unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			out.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&out, `\u%04x`, unit)
		}
	}
	return out.String()
}

// Whatever a commit, an author, a branch, a tag, a file's name, a log or a registry says in its own words is shown, and decides nothing.
func TestArbitraryTextDecidesNothing(t *testing.T) {
	l := newLocal(t)
	run(t, l.repository, "git", "branch", "plain")
	baseline := map[string][]string{}
	play := func(t *testing.T, s textScene, text string) (played, string, string) {
		t.Helper()
		home := filepath.Join(t.TempDir(), "home")
		branch, file := l.says(t, text)
		environment := append([]string{"REPLAY_TEXT=" + file}, s.environment...)
		p, err := l.play(t.Context(), home, s.jenkinsfile, environment, append(s.arguments(text, branch), "--sandbox", "--untrusted")...)
		require.NoError(t, err, "%q", text)
		return p, home, branch
	}
	for _, s := range textScenes {
		p, _, _ := play(t, s, "plain")
		baseline[s.name] = went(t, p)
		require.Greater(t, len(baseline[s.name]), 20, s.name)
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
		p, home, branch := play(t, s, text)
		same := assert.Equal(t, baseline[s.name], went(t, p), "%q", text) &&
			assert.NoError(t, p.validRecord(), "%q", text) &&
			assert.Contains(t, p.console, s.shownWhole(text, branch), "%q is not shown whole", text)
		found, err := filepath.Glob(filepath.Join(home, "*", "*", "EXECUTED"))
		require.NoError(t, err)
		same = assert.Empty(t, found, "%q was executed", text) && same
		require.True(t, same, "%s with %q\n%s", s.name, text, p.console)
	}
}
