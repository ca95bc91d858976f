package pipelines

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// jenkins is what the pipelines need of docs/jenkins.yaml.
type jenkins struct {
	Jenkins struct {
		GlobalNodeProperties []struct {
			EnvVars struct {
				Env []struct{ Key, Value string }
			}
		}
		Clouds []struct {
			Kubernetes struct{ Name, Namespace, CredentialsID, ServerURL, ServerCertificate, JenkinsURL string }
		}
	}
	Credentials struct {
		System struct {
			DomainCredentials []struct {
				Credentials []map[string]struct{ ID, Username, Password, Secret string }
			}
		}
	}
	Unclassified struct {
		GlobalLibraries struct {
			Libraries []struct{ Name, DefaultVersion string }
		}
	}
	Jobs []struct{ Script string }
}

func configuration(t *testing.T) jenkins {
	t.Helper()
	return configured(t, "docs/jenkins.yaml")
}

func configured(t *testing.T, file string) jenkins {
	t.Helper()
	var c jenkins
	require.NoError(t, yaml.Unmarshal([]byte(read(t, file)), &c))
	return c
}

// Outside the cluster there is the same cloud with another way to it, and a credential that it names.
func TestAJenkinsOutsideTheClusterNamesCertificateAndToken(t *testing.T) {
	inside, outside := configuration(t).Jenkins.Clouds, configured(t, "docs/jenkins-outside.yaml")
	require.Len(t, outside.Jenkins.Clouds, 1)
	cloud, in := outside.Jenkins.Clouds[0].Kubernetes, inside[0].Kubernetes
	assert.NotEmpty(t, cloud.ServerCertificate)
	assert.NotEqual(t, in.ServerURL, cloud.ServerURL)
	assert.NotEqual(t, in.JenkinsURL, cloud.JenkinsURL)
	require.Len(t, outside.Credentials.System.DomainCredentials, 1)
	assert.Equal(t, cloud.CredentialsID, outside.Credentials.System.DomainCredentials[0].Credentials[0]["string"].ID)
	cloud.ServerURL, cloud.ServerCertificate, cloud.CredentialsID, cloud.JenkinsURL = in.ServerURL, "", "", in.JenkinsURL
	assert.Equal(t, in, cloud, "the rest is the same")
	assert.Contains(t, read(t, "k8s/site/agents/controller-token.yaml"), "type: kubernetes.io/service-account-token\n")
}

func TestJenkinsHasWhatThePipelinesNameByDefault(t *testing.T) {
	c := configuration(t)
	kinds := map[string]string{}
	for _, domain := range c.Credentials.System.DomainCredentials {
		for _, credential := range domain.Credentials {
			for kind, of := range credential {
				kinds[of.ID] = kind
				for _, secret := range []string{of.Username, of.Password, of.Secret} {
					assert.Regexp(t, `^(\$\{[A-Z_]+\})?$`, secret, "%s: a secret comes from outside", of.ID)
				}
			}
		}
	}
	defaults := parameters(t)
	for _, id := range append(regexp.MustCompile(`'(\w+_DB_CRED)'`).FindAllString(defaults["dbCredentialsId"].value, -1), defaults["registryCredentialsId"].value) {
		assert.Equal(t, "usernamePassword", kinds[strings.Trim(id, "'")], id)
	}
	require.Len(t, c.Jenkins.Clouds, 1)
	cloud := c.Jenkins.Clouds[0].Kubernetes
	assert.Equal(t, strings.Trim(defaults["cloud"].value, "'"), cloud.Name)
	assert.Contains(t, read(t, "k8s/site/agents/agents.yaml"), "kind: Namespace\nmetadata:\n  name: "+cloud.Namespace+"\n")
	assert.Empty(t, cloud.CredentialsID, "in the cluster the plugin takes its own pod's token, which it does only without")
	require.Len(t, c.Unclassified.GlobalLibraries.Libraries, 1)
	library := c.Unclassified.GlobalLibraries.Libraries[0]
	for _, file := range []string{"Jenkinsfile", "Jenkinsfile.prod"} {
		assert.Contains(t, read(t, file), "@Library('"+library.Name+"@"+library.DefaultVersion+"') _")
	}
}

func TestTheJobsRunTheRepositorysFiles(t *testing.T) {
	c := configuration(t)
	var scripts strings.Builder
	for _, job := range c.Jobs {
		scripts.WriteString(job.Script)
	}
	for _, match := range regexp.MustCompile(`scriptPath\('([^']+)'\)`).FindAllStringSubmatch(scripts.String(), -1) {
		assert.Contains(t, read(t, match[1]), "@Library")
	}
	assert.Contains(t, scripts.String(), "scriptPath('Jenkinsfile')")
	assert.Contains(t, scripts.String(), "scriptPath('Jenkinsfile.prod')")
	assert.Contains(t, scripts.String(), "includes("+parameters(t)["branch"].value+")")
	for _, match := range regexp.MustCompile(`credentialsId\('([^']+)'\)`).FindAllStringSubmatch(scripts.String(), -1) {
		assert.Contains(t, read(t, "docs/jenkins.yaml"), `id: "`+match[1]+`"`)
	}
}

// made is what job-dsl makes of the scripts, run by its own language: one line a value, with the blocks around it.
func made(t *testing.T, scripts ...string) (string, error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "java", "--add-opens", "java.base/java.lang=ALL-UNNAMED", "--add-opens", "java.base/java.util=ALL-UNNAMED",
		"-cp", filepath.Join(root, "tests/runner/target/lib/groovy-all-2.4.21.jar"), "groovy.ui.GroovyMain", "jobs.groovy")
	command.Stdin = strings.NewReader(strings.Join(scripts, "\n----\n"))
	out, err := command.CombinedOutput()
	return string(out), err
}

func TestTheJobsScriptsAreJobDsl(t *testing.T) {
	var scripts []string
	for _, job := range configuration(t).Jobs {
		scripts = append(scripts, job.Script)
	}
	require.Len(t, scripts, 2)
	out, err := made(t, scripts...)
	require.NoError(t, err, out)
	for _, line := range []string{
		"fastapi-app/branchSources/branchSource/source/git/credentialsId=gitee",
		"fastapi-app/factory/workflowBranchProjectFactory/scriptPath=Jenkinsfile",
		"fastapi-app-production/factory/workflowBranchProjectFactory/scriptPath=Jenkinsfile.prod",
		"fastapi-app-production/branchSources/branchSource/source/git/traits/headWildcardFilter/includes=" + strings.Trim(parameters(t)["branch"].value, "'"),
		"fastapi-app-production/branchSources/branchSource/strategy/allBranchesSame/props/suppressAutomaticTriggering/triggeredBranchesRegex=^$",
	} {
		assert.Contains(t, out, line+"\n")
	}
	for wrong, complaint := range map[string]string{
		strings.Replace(scripts[0], "scriptPath(", "scriptPth(", 1):        "job-dsl has no scriptPth in fastapi-app/factory/workflowBranchProjectFactory",
		strings.Replace(scripts[0], "numToKeep(20)", "numToKeep('20')", 1): "takes one Integer",
		strings.TrimSuffix(strings.TrimSpace(scripts[0]), "}"):             "expecting '}'",
	} {
		out, err := made(t, wrong)
		assert.Error(t, err)
		assert.Contains(t, out, complaint)
	}
}

func TestTheSitesSettingsAreParameters(t *testing.T) {
	known := map[string]bool{}
	for name := range parameters(t) {
		for _, prefix := range []string{"SLIPWAY_", "SLIPWAY_STAGING_", "SLIPWAY_PRODUCTION_"} {
			known[prefix+strings.ToUpper(regexp.MustCompile(`([A-Z])`).ReplaceAllString(name, "_$1"))] = true
		}
	}
	c := configuration(t)
	require.NotEmpty(t, c.Jenkins.GlobalNodeProperties)
	for _, properties := range c.Jenkins.GlobalNodeProperties {
		for _, variable := range properties.EnvVars.Env {
			assert.True(t, known[variable.Key], "%s is the setting of no parameter", variable.Key)
		}
	}
}
