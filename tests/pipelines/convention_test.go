package pipelines

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

const root = "../.."

func read(t *testing.T, name string) string {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(root, name))
	require.NoError(t, err)
	return string(body)
}

func files(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(root, pattern))
	require.NoError(t, err)
	require.NotEmpty(t, found, pattern)
	return found
}

func sources(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, file := range files(t, "src/slipway/*.groovy") {
		body, err := os.ReadFile(file)
		require.NoError(t, err)
		all.Write(body)
	}
	return all.String()
}

type parameter struct{ kind, value string }

// parameters are those of Settings, with the kind and the default that stand there.
func parameters(t *testing.T) map[string]parameter {
	t.Helper()
	found := map[string]parameter{}
	table, _, _ := strings.Cut(read(t, "src/slipway/Settings.groovy"), "/** What a value of a kind looks like")
	for _, match := range regexp.MustCompile(`(?m)^ {12}(\w+): \['(\w+)', (.*)\],$`).FindAllStringSubmatch(table, -1) {
		found[match[1]] = parameter{match[2], match[3]}
	}
	require.Greater(t, len(found), 30)
	return found
}

func TestEveryStepIsTypedAndHasHelp(t *testing.T) {
	for _, file := range files(t, "vars/*.groovy") {
		name := strings.TrimSuffix(filepath.Base(file), ".groovy")
		t.Run(name, func(t *testing.T) {
			body, err := os.ReadFile(file)
			require.NoError(t, err)
			assert.Regexp(t, `(?m)^void call\(Map<String, Object> arguments = \[:\]\) \{$`, string(body))
			assert.NotRegexp(t, `\bdef\b`, string(body), "no untyped variable")
			help := read(t, "vars/"+name+".txt")
			assert.Contains(t, help, name+"(app: ", "the help shows a call")
			assert.Contains(t, help, "docs/pipelines.md", "the help says where the parameters are")
		})
	}
}

func TestNothingInTheClassesIsUntyped(t *testing.T) {
	assert.NotRegexp(t, `\bdef\b`, sources(t))
}

func TestTheDocumentedParametersAreTheRealOnes(t *testing.T) {
	documented := map[string]string{}
	for _, match := range regexp.MustCompile(`(?m)^\| ([\w, ]+) \| ([^|]*) \|`).FindAllStringSubmatch(read(t, "docs/pipelines.md"), -1) {
		defaults := strings.Split(match[2], ", ")
		for i, name := range strings.Split(match[1], ", ") {
			if name != "parameter" {
				documented[name] = strings.TrimSpace(defaults[min(i, len(defaults)-1)])
			}
		}
	}
	real := parameters(t)
	for name, p := range real {
		if !assert.Contains(t, documented, name, "docs/pipelines.md does not have it") {
			continue
		}
		if plain := strings.Trim(p.value, "'"); plain != "" && !strings.Contains(p.value, "?") && !strings.Contains(plain, ",") {
			assert.Equal(t, plain, documented[name], "the default of %s", name)
		}
	}
	for name := range documented {
		assert.Contains(t, real, name, "docs/pipelines.md has a parameter that is none")
	}
}

func TestEveryParameterIsUsedAndEveryUseIsAParameter(t *testing.T) {
	used := map[string]bool{}
	for _, match := range regexp.MustCompile(`\bvalue\('(\w+)'\)`).FindAllStringSubmatch(sources(t), -1) {
		used[match[1]] = true
	}
	list := regexp.MustCompile(`for \(String name in \[([^\]]*)\]\)`).FindStringSubmatch(sources(t)) // those that Settings.options passes on
	require.NotNil(t, list)
	for _, name := range regexp.MustCompile(`\w+`).FindAllString(list[1], -1) {
		used[name] = true
	}
	real := parameters(t)
	for name := range real {
		assert.True(t, used[name], "%s is never read", name)
	}
	for name := range used {
		assert.Contains(t, real, name)
	}
}

func TestEveryShellHasALabelAndNoSecretInItsText(t *testing.T) {
	text := sources(t)
	shells := regexp.MustCompile(`steps\.sh\(`).FindAllString(text, -1)
	labelled := regexp.MustCompile(`steps\.sh\(label: `).FindAllString(text, -1)
	assert.Equal(t, len(shells), len(labelled))
	assert.NotRegexp(t, `script: "`, text, "a script in double quotes puts values into the text of the process")
	for _, match := range regexp.MustCompile(`"[^"\n]*\$\{?(PGPASSWORD|REGISTRY_PASSWORD)[^"\n]*"`).FindAllString(text, -1) {
		assert.NotContains(t, match, "${settings", match)
	}
}

// initialisers are what the static fields of a source are set to, with their texts taken out.
func initialisers(source string) map[string]string {
	source = regexp.MustCompile(`(?s)/\*.*?\*/`).ReplaceAllString(source, "")
	source = regexp.MustCompile(`(?s)'''.*?'''|'(\\.|[^'\\\n])*'`).ReplaceAllString(source, "")
	found := map[string]string{}
	for _, match := range regexp.MustCompile(`(?m)^\s*(?:private |protected |public )?static (?:final )?[\w<>, \[\]]+? (\w+) =((?:[^\n]*\+\n)*[^\n]*)`).FindAllStringSubmatch(source, -1) {
		found[match[1]] = match[2]
	}
	return found
}

// literal is what may be left of an initialiser: texts that are joined, numbers, true and false. An untrusted
// library's class is initialised outside of the sandbox's scope, where a constant that reads another one, or
// calls something, ends the pipeline before its first line.
var literal = regexp.MustCompile(`^[\s+*0-9L]*(true|false)?$`)

func TestConstantsAreLiterals(t *testing.T) {
	count := 0
	for _, file := range append(files(t, "src/slipway/*.groovy"), files(t, "vars/*.groovy")...) {
		body, err := os.ReadFile(file)
		require.NoError(t, err)
		for name, value := range initialisers(string(body)) {
			count++
			assert.Regexp(t, literal, value, "%s of %s", name, file)
		}
		assert.NotRegexp(t, `(?m)^\s*(enum|interface|trait) `, string(body), "%s: its constants are code", file)
		assert.NotRegexp(t, `\bstatic \{`, string(body), "%s: a static initialiser", file)
	}
	assert.Greater(t, count, 15)
}

func TestAConstantThatIsCodeIsFound(t *testing.T) {
	for text, good := range map[string]bool{
		"    static final String A = 'a'": true, "    static final String A = 'a' +\n        ' b'": true,
		"    private static final long A = 60 * 60L":     true,
		"    static final String A = '''\n  $B + x\n'''": true, "    static final String A = 'it\\'s' + 'b'": true,
		"    static final String A = B + 'a'": false, "    static final String A = 'a' +\n        B": false,
		"    static final String A = \"a\"":          false,
		"    static final List<String> A = ['a', B]": false, "    static final String A = Other.A": false,
		"    static final String A = a()":                           false,
		"    private static final String A = '''a''' + B + '''b'''": false, "    static final Pattern A = ~/a/": false,
	} {
		found := initialisers(text)
		require.Contains(t, found, "A", text)
		assert.Equal(t, good, literal.MatchString(found["A"]), text)
	}
}

// What is decided is decided by a program that is tested: a command of the helpers is a list of arguments.
func TestCommandsAreArgumentsAndNoShell(t *testing.T) {
	text := read(t, "src/slipway/Commands.groovy")
	commands := regexp.MustCompile(`(?m)^    static final String \w+ = ('slipway [^;]*?)\n\n`).FindAllStringSubmatch(text, -1)
	assert.Greater(t, len(commands), 10)
	for _, command := range commands {
		words := strings.ReplaceAll(regexp.MustCompile(`' \+\n\s*'`).ReplaceAllString(command[1], ""), "'", "")
		assert.Regexp(t, `^slipway [a-z-]+( [a-z]+)*( (--[a-z-]+(="\$[A-Z_]+")?|"[a-z-]*=?[$A-Z_/a-z.-]+"))*$`, words)
	}
	assert.NotRegexp(t, `\b(sed|awk|tr|grep|cut|eval)\b|echo "|\$\(echo`, text)
}

func TestEveryNodeStandsInATimeout(t *testing.T) {
	text := sources(t)
	assert.Len(t, regexp.MustCompile(`steps\.node\(`).FindAllString(text, -1), 1, "agents are taken in one place")
	assert.Regexp(t, `steps\.timeout\(time: minutes, unit: 'MINUTES'\) \{\n\s+steps\.node\(`, text)
	shells := len(regexp.MustCompile(`steps\.sh\(`).FindAllString(text, -1))
	timed := len(regexp.MustCompile(`steps\.timeout\([^\n]*\) \{\n\s+(\w+ = )?steps\.sh\(`).FindAllString(text, -1))
	assert.Equal(t, shells, timed, "every sh stands in a timeout of its own")
}

type pod struct {
	Spec struct {
		ServiceAccountName            string
		AutomountServiceAccountToken  *bool
		TerminationGracePeriodSeconds int
		Containers                    []struct {
			Name, Image     string
			SecurityContext struct{ RunAsUser *int }
			Resources       struct{ Requests map[string]any }
			VolumeMounts    []struct{ Name string }
		}
	}
}

func TestThePodTemplatesAreAsAgentsMustBe(t *testing.T) {
	for _, file := range files(t, "resources/slipway/*.yaml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			body, err := os.ReadFile(file)
			require.NoError(t, err)
			var p pod
			require.NoError(t, yaml.UnmarshalStrict(body, new(map[string]any)))
			require.NoError(t, yaml.Unmarshal(body, &p))
			assert.Equal(t, 5, p.Spec.TerminationGracePeriodSeconds)
			require.NotNil(t, p.Spec.AutomountServiceAccountToken)
			assert.False(t, *p.Spec.AutomountServiceAccountToken, "only the container that needs the account has it")
			if p.Spec.ServiceAccountName != "" {
				assert.Equal(t, "SERVICE_ACCOUNT", p.Spec.ServiceAccountName, "the parameter's")
			}
			for _, container := range p.Spec.Containers {
				assert.NotEmpty(t, container.Resources.Requests, container.Name)
				for _, mount := range container.VolumeMounts {
					assert.True(t, mount.Name != "account" || container.Name == "helpers", "%s has the account", container.Name)
				}
				user := container.SecurityContext.RunAsUser
				runs := container.Name != "postgres" // nothing is run in it by a sh
				assert.True(t, !runs || user == nil || *user == 0 || *user == 1000, "%s runs as the agent or as root", container.Name)
			}
		})
	}
}
