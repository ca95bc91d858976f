package pipelines

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

type cloud struct {
	Name, Namespace, CredentialsID, ServerURL, ServerCertificate, JenkinsURL string
	UsageRestricted                                                          bool
}

// jenkins is what the pipelines need of docs/jenkins.yaml.
type jenkins struct {
	Jenkins struct {
		GlobalNodeProperties []struct {
			EnvVars struct {
				Env []struct{ Key, Value string }
			}
		}
		Clouds []struct {
			Kubernetes cloud
		}
	}
	Credentials struct {
		System struct {
			DomainCredentials []struct {
				Credentials []map[string]struct{ Scope, ID, Username, Password, Secret string }
			}
		}
	}
	Unclassified struct {
		GlobalLibraries struct {
			Libraries []struct {
				Name, DefaultVersion string
				AllowVersionOverride *bool
			}
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

// Outside the cluster there are the same clouds with another way to them.
func TestAJenkinsOutsideTheClusterDiffersByItsAddresses(t *testing.T) {
	inside, outside := configuration(t).Jenkins.Clouds, configured(t, "docs/jenkins-outside.yaml").Jenkins.Clouds
	require.Len(t, outside, len(inside))
	for i := range outside {
		out, in := outside[i].Kubernetes, inside[i].Kubernetes
		assert.NotEmpty(t, out.ServerCertificate)
		assert.NotEqual(t, in.ServerURL, out.ServerURL)
		assert.NotEqual(t, in.JenkinsURL, out.JenkinsURL)
		out.ServerURL, out.ServerCertificate, out.JenkinsURL = in.ServerURL, in.ServerCertificate, in.JenkinsURL
		assert.Equal(t, in, out, "the rest is the same")
	}
}

// What a cloud logs in with is no job's, and lets it make pods in one namespace; a job uses a cloud only where its folder permits it.
func TestEachCloudIsRestrictedAndHasAnAccountOfItsOwn(t *testing.T) {
	c := configuration(t)
	tokens := map[string]bool{}
	for _, domain := range c.Credentials.System.DomainCredentials {
		for _, credential := range domain.Credentials {
			for kind, of := range credential {
				for _, secret := range []string{of.Username, of.Password, of.Secret} {
					assert.Regexp(t, `^(\$\{[A-Z_]+\})?$`, secret, "%s: a secret comes from outside", of.ID)
				}
				tokens[of.ID] = kind == "string" && of.Scope == "SYSTEM"
				assert.True(t, tokens[of.ID] || of.ID == "gitee", "%s is every job's", of.ID)
			}
		}
	}
	namespaces := map[string]string{"build": "k8s/site/build/namespace.yaml", "staging": "k8s/site/staging/agents/agents.yaml",
		"production": "k8s/site/prod/agents/agents.yaml"}
	require.Len(t, c.Jenkins.Clouds, len(namespaces))
	for _, each := range c.Jenkins.Clouds {
		cloud := each.Kubernetes
		assert.True(t, cloud.UsageRestricted, cloud.Name)
		assert.True(t, tokens[cloud.CredentialsID], "%s has a token of its own", cloud.Name)
		assert.NotEmpty(t, cloud.ServerCertificate, "with a credential the plugin takes nothing from its surroundings")
		tokens[cloud.CredentialsID] = false
		assert.Contains(t, read(t, namespaces[cloud.Name]), "kind: Namespace\nmetadata:\n  name: "+cloud.Namespace+"\n")
	}
	controller := read(t, "k8s/site/pods/controller.yaml")
	assert.Contains(t, controller, "type: kubernetes.io/service-account-token\n")
	assert.NotContains(t, controller, "namespace:", "in no namespace but the one that it is applied to")
}

// settings are the site's, of docs/jenkins.yaml.
func settings(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, properties := range configuration(t).Jenkins.GlobalNodeProperties {
		for _, variable := range properties.EnvVars.Env {
			found[variable.Key] = variable.Value
		}
	}
	return found
}

func TestTheSiteNamesWhatThereIs(t *testing.T) {
	site, clouds := settings(t), map[string]bool{}
	for _, each := range configuration(t).Jenkins.Clouds {
		clouds[each.Kubernetes.Name] = true
	}
	for _, name := range []string{"SLIPWAY_BUILD_CLOUD", "SLIPWAY_STAGING_CLOUD", "SLIPWAY_PRODUCTION_CLOUD"} {
		assert.True(t, clouds[site[name]], name)
		delete(clouds, site[name])
	}
	assert.Empty(t, clouds, "a cloud that no pipeline uses")
	for name, folder := range map[string]string{"SLIPWAY_STAGING_SERVICE_ACCOUNT": "staging", "SLIPWAY_PRODUCTION_SERVICE_ACCOUNT": "prod"} {
		account := site[name]
		assert.Contains(t, read(t, "k8s/site/"+folder+"/agents/agents.yaml"), "kind: ServiceAccount\nmetadata:\n  name: "+account+"\n")
		assert.Contains(t, read(t, "k8s/site/"+folder+"/delivery/binding.yaml"),
			"{kind: ServiceAccount, name: "+account+", namespace: jenkins-"+folder+"}")
	}
	for _, each := range configuration(t).Unclassified.GlobalLibraries.Libraries {
		require.NotNil(t, each.AllowVersionOverride)
		assert.False(t, *each.AllowVersionOverride, "a trusted library has one version")
	}
}

// made is what job-dsl makes of the scripts, run by its own language: one line a value, with the blocks around it.
func made(t *testing.T, scripts ...string) (string, error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "java", "--add-opens", "java.base/java.lang=ALL-UNNAMED", "--add-opens",
		"java.base/java.util=ALL-UNNAMED",
		"-cp", filepath.Join(root, "tests/runner/target/lib/groovy-all-2.4.21.jar"), "groovy.ui.GroovyMain", "jobs.groovy")
	command.Stdin = strings.NewReader(strings.Join(scripts, "\n----\n"))
	command.Env = os.Environ()
	for _, name := range regexp.MustCompile(`getenv\('(\w+)'\)`).FindAllStringSubmatch(strings.Join(scripts, ""), -1) {
		command.Env = append(command.Env, name[1]+"=of "+name[1])
	}
	out, err := command.CombinedOutput()
	return string(out), err
}

func scripts(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, job := range configuration(t).Jobs {
		found = append(found, job.Script)
	}
	require.Len(t, found, 6)
	return found
}

func TestTheJobsScriptsAreJobDsl(t *testing.T) {
	all := scripts(t)
	out, err := made(t, all...)
	require.NoError(t, err, out)
	branch, git := strings.Trim(parameters(t)["branch"].value, "'"), "/branchSources/branchSource/source/git/"
	for _, line := range []string{
		"build/fastapi-app" + git + "credentialsId=gitee",
		"build/fastapi-app/factory/workflowBranchProjectFactory/scriptPath=Jenkinsfile",
		"build/fastapi-app" + git + "traits/headWildcardFilter/excludes=" + branch,
		"staging/fastapi-app" + git + "traits/headWildcardFilter/includes=" + branch,
		"production/fastapi-app/definition/cps/script=@Library('slipway') _ prodCanaryPipeline(app: 'fastapi-app', image: 'fastapi-postgres-app', " +
			"sourceUrl: 'https://gitee.example/team/fastapi-app.git', sourceCredentialsId: 'gitee')",
		"production/fastapi-app/definition/cps/sandbox=true",
	} {
		assert.Contains(t, out, line+"\n")
	}
	for _, file := range []string{"Jenkinsfile", "Jenkinsfile.prod"} {
		assert.Contains(t, read(t, file), "@Library('slipway@v1') _")
	}
	for wrong, complaint := range map[string]string{
		strings.Replace(all[3], "scriptPath(", "scriptPth(",
			1): "job-dsl has no scriptPth in build/fastapi-app/factory/workflowBranchProjectFactory",
		strings.Replace(all[3], "numToKeep(20)", "numToKeep('20')", 1): "takes one Integer",
		strings.TrimSuffix(strings.TrimSpace(all[3]), "}"):             "expecting '}'",
	} {
		out, err := made(t, wrong)
		assert.Error(t, err)
		assert.Contains(t, out, complaint)
	}
}

// The runner's folders, with which the pipelines are tested, are those that the jobs' scripts make in Jenkins.
func TestTheRunnersFoldersAreJenkinsOwn(t *testing.T) {
	out, err := made(t, scripts(t)...)
	require.NoError(t, err, out)
	var tested struct {
		Folders map[string]struct {
			PermittedClouds []string
			Credentials     []map[string]struct{ ID, Username string }
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "tests/e2e/site/folders.yaml")), &tested))
	require.Len(t, tested.Folders, 3)
	for name, folder := range tested.Folders {
		assert.Contains(t, out, name+"/properties/kubernetes/permittedClouds=["+strings.Join(folder.PermittedClouds, ", ")+"]\n")
		line := name + "/properties/folderCredentialsProperty/domainCredentials/domainCredentials/credentials/usernamePassword/"
		assert.Equal(t, len(folder.Credentials), strings.Count(out, line+"id="))
		for _, credential := range folder.Credentials {
			of := credential["usernamePassword"]
			assert.Contains(t, out, line+"id="+of.ID+"\n")
			assert.Contains(t, out, line+"username=of "+strings.Trim(of.Username, "${}")+"\n")
		}
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
