package check

// What Jenkins has: agents, plugins, folders, credentials.

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// computers is https://javadoc.jenkins.io/hudson/model/ComputerSet.html
type computers struct {
	Computer []struct {
		Class        string `json:"_class"`
		DisplayName  string
		Offline      bool
		NumExecutors int
	}
}

func (s *Site) nodesOfJenkins(ctx context.Context) (found computers, refused *Finding) {
	return found, s.read(ctx, "/computer/api/json?tree=computer[displayName,offline,numExecutors]", &found)
}

const controllerClass = "hudson.model.Hudson$MasterComputer"

func jenkinsExecutors(ctx context.Context, s *Site) Finding {
	found, refused := s.nodesOfJenkins(ctx)
	if refused != nil {
		return *refused
	}
	for _, computer := range found.Computer {
		if computer.Class == controllerClass && computer.NumExecutors > 0 && !computer.Offline {
			return missing("the built-in node has %s", counted(computer.NumExecutors, "executor")).
				with("set jenkins.numExecutors to 0, as docs/jenkins.yaml does")
		}
	}
	return ok("the built-in node has no executor")
}

// jenkinsAgents takes this process for an agent's, where it runs as one: the Kubernetes plugin sets these in an agent's pod.
func jenkinsAgents(ctx context.Context, s *Site) Finding {
	if os.Getenv("JENKINS_AGENT_NAME") != "" && os.Getenv("KUBERNETES_SERVICE_HOST") != "" {
		return ok("this is one: %s", os.Getenv("JENKINS_AGENT_NAME"))
	}
	found, refused := s.nodesOfJenkins(ctx)
	if refused != nil {
		return *refused
	}
	var away []string
	pods := 0
	for _, computer := range found.Computer {
		switch {
		case !strings.Contains(computer.Class, "KubernetesComputer"):
		case computer.Offline:
			away = append(away, computer.DisplayName)
		default:
			pods++
		}
	}
	switch {
	case pods > 0:
		return ok("%s connected", counted(pods, "pod"))
	case len(away) > 0:
		return warning("no pod is connected; waiting: %s", all(away)).
			with("kubectl get pods -A -l jenkins=slave; look at the console of the build")
	}
	return skipped("no agent's pod runs now: call the step slipwayCheck in a job, which starts one")
}

// installed are the plugins: https://javadoc.jenkins.io/hudson/PluginManager.html
func (s *Site) installed(ctx context.Context) (map[string]string, *Finding) {
	var answer struct {
		Plugins []struct {
			ShortName, Version string
			Active, Enabled    bool
		}
	}
	if refused := s.read(ctx, "/pluginManager/api/json?tree=plugins[shortName,version,active,enabled]", &answer); refused != nil {
		return nil, refused
	}
	there := map[string]string{}
	for _, plugin := range answer.Plugins {
		if plugin.Active && plugin.Enabled {
			there[plugin.ShortName] = plugin.Version
		}
	}
	return there, nil
}

// optional are the plugins that a site may leave out, and do without what docs/jenkins.md says that they are for.
var optional = []string{"lockable-resources", "configuration-as-code", "job-dsl", "matrix-auth"}

func jenkinsPlugins(ctx context.Context, s *Site) Finding {
	there, refused := s.installed(ctx)
	if refused != nil {
		return *refused
	}
	_, plugins, err := tested()
	if err != nil {
		return silent(err)
	}
	var needed, useful []string
	for _, name := range slices.Sorted(maps.Keys(plugins)) {
		switch {
		case there[name] != "":
		case slices.Contains(optional, name):
			useful = append(useful, name)
		default:
			needed = append(needed, name)
		}
	}
	install := "jenkins-plugin-cli --plugins " + strings.Join(append(needed, useful...), " ") + ", then restart Jenkins"
	switch {
	case len(needed) > 0:
		return missing("%s is not installed, or not active", all(needed)).with("%s", install)
	case len(useful) > 0:
		return warning("%s is not installed; docs/jenkins.md says what each is for", all(useful)).with("%s", install)
	}
	return ok("%s", counted(len(plugins), "plugin"))
}

func jenkinsPluginVersions(ctx context.Context, s *Site) Finding {
	there, refused := s.installed(ctx)
	if refused != nil {
		return *refused
	}
	_, plugins, err := tested()
	if err != nil {
		return silent(err)
	}
	var old, install []string
	for _, name := range slices.Sorted(maps.Keys(plugins)) {
		if running := there[name]; running != "" && older(running, plugins[name]) {
			old = append(old, fmt.Sprintf("%s %s (tested with %s)", name, running, plugins[name]))
			install = append(install, name+":"+plugins[name])
		}
	}
	if len(old) > 0 {
		return warning("older than tested: %s", all(old)).
			with("jenkins-plugin-cli --plugins %s, then restart Jenkins", strings.Join(install, " "))
	}
	return ok("as tested, or newer")
}

// held are the credentials of docs/jenkins.yaml by folder: the pipelines' defaults.
var held = map[string][]string{
	"staging":    {"a4116a00-2da0-4947-9dcc-86ba51217d6d", "STAGING_DB_CRED"},
	"production": {"a4116a00-2da0-4947-9dcc-86ba51217d6d", "PROD_DB_CRED"},
}

var folders = []string{"build", "staging", "production"}

func jenkinsFolders(ctx context.Context, s *Site) Finding {
	var lacking []string
	for _, folder := range folders {
		var answer map[string]any
		refused := s.read(ctx, "/job/"+folder+"/api/json?tree=name", &answer)
		if refused == &notThere {
			lacking = append(lacking, folder)
		} else if refused != nil {
			return *refused
		}
	}
	if len(lacking) > 0 {
		return missing("there is no folder %s", all(lacking)).with("apply the part jobs of docs/jenkins.yaml, which needs the plugin job-dsl")
	}
	return ok("%s", all(folders))
}

// idsIn are the credentials of a store: https://github.com/jenkinsci/credentials-plugin/blob/master/docs/user.adoc
func (s *Site) idsIn(ctx context.Context, store string) ([]string, *Finding) {
	var answer struct {
		Credentials []struct{ ID string }
	}
	if refused := s.read(ctx, store+"/domain/_/api/json?tree=credentials[id]", &answer); refused != nil {
		return nil, refused
	}
	var ids []string
	for _, each := range answer.Credentials {
		ids = append(ids, each.ID)
	}
	return ids, nil
}

func jenkinsCredentials(ctx context.Context, s *Site) Finding {
	var lacking []string
	for _, folder := range slices.Sorted(maps.Keys(held)) {
		ids, refused := s.idsIn(ctx, "/job/"+folder+"/credentials/store/folder")
		if refused == &notThere {
			continue // jenkins-folders says it
		}
		if refused != nil {
			return *refused
		}
		for _, id := range held[folder] {
			if !slices.Contains(ids, id) {
				lacking = append(lacking, folder+"/"+id)
			}
		}
	}
	if len(lacking) > 0 {
		return missing("there is no credential %s", all(lacking)).
			with("add it to the folder (Credentials, Folder), or name yours by registryCredentialsId and dbCredentialsId")
	}
	return ok("of %s", counted(len(held), "folder"))
}

func jenkinsGlobal(ctx context.Context, s *Site) Finding {
	ids, refused := s.idsIn(ctx, "/credentials/store/system")
	if refused == &notThere {
		return ok("there is no global one")
	}
	if refused != nil {
		return *refused
	}
	var open []string
	for _, folder := range slices.Sorted(maps.Keys(held)) {
		for _, id := range held[folder] {
			if slices.Contains(ids, id) && !slices.Contains(open, id) {
				open = append(open, id)
			}
		}
	}
	if len(open) > 0 {
		return missing("%s is a global credential", all(open)).with("add it to its folder, delete the global one, and change the password")
	}
	return ok("none of the folders'")
}
