package check

// How Jenkins is configured, by Configuration as Code.

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// export is what Configuration as Code says of Jenkins:
// https://github.com/jenkinsci/configuration-as-code-plugin/blob/master/docs/features/configExport.md
type export struct {
	Jenkins struct {
		Clouds []map[string]struct {
			Name, Namespace, JenkinsURL string
			UsageRestricted             bool
		}
	}
	Unclassified struct {
		Location        struct{ URL string }
		GlobalLibraries struct{ Libraries []library }
	}
}

type library struct {
	Name, DefaultVersion string
	AllowVersionOverride *bool // it is left out where it has its default, true
}

func (s *Site) exported(ctx context.Context) (export, *Finding) {
	if refused := s.refusedLogin(ctx); refused != nil {
		return export{}, refused
	}
	answer, err := s.jenkinsExport.get(ctx, s.limit, func(ctx context.Context) (said, error) {
		return s.Jenkins.ask(ctx, http.MethodPost, "/configuration-as-code/export", true)
	})
	var content export
	switch {
	case err != nil:
		found := silent(err)
		return content, &found
	case answer.status == http.StatusNotFound:
		found := skipped("the plugin configuration-as-code is not there, which tells it")
		return content, &found
	case answer.status != http.StatusOK:
		found := skipped("%s may not export the configuration (Overall/SystemRead): Jenkins answers %d", s.Jenkins.user, answer.status)
		return content, &found
	}
	if err := yaml.Unmarshal(answer.body, &content); err != nil {
		found := silent(errors.New("what Configuration as Code exports cannot be read"))
		return content, &found
	}
	return content, nil
}

func onExport(judge func(*Site, export) Finding) func(context.Context, *Site) Finding {
	return func(ctx context.Context, s *Site) Finding {
		content, refused := s.exported(ctx)
		if refused != nil {
			return *refused
		}
		return judge(s, content)
	}
}

func urlOf(s *Site, e export) Finding {
	own, asked := strings.TrimRight(e.Unclassified.Location.URL, "/"), strings.TrimRight(s.Jenkins.address, "/")
	switch {
	case own == "":
		return missing("unclassified.location.url is empty").with("set it to %s/ in Configuration as Code, or in Manage Jenkins, System", asked)
	case own != asked:
		return warning("unclassified.location.url is %s, and it was asked at %s", own, asked).
			with("set it to the address by which people and agents reach Jenkins")
	}
	return ok("%s", own)
}

func cloudsOf(e export, s *Site) Finding {
	there := map[string]string{}
	for _, each := range e.Jenkins.Clouds {
		for _, cloud := range each {
			there[cloud.Name] = cloud.Namespace
		}
	}
	var lacking []string
	for cloud, namespace := range map[string]string{"build": "jenkins-build", "staging": "jenkins-staging", "production": "jenkins-prod"} {
		found, is := there[cloud]
		switch wanted := s.space(namespace); {
		case !is:
			lacking = append(lacking, "there is no cloud "+cloud)
		case found != wanted:
			lacking = append(lacking, fmt.Sprintf("the cloud %s makes pods in %s, not in %s", cloud, quoted(found), wanted))
		}
	}
	if slices.Sort(lacking); len(lacking) > 0 {
		return missing("%s", all(lacking)).with("take the clouds of docs/jenkins.yaml, or of docs/jenkins-outside.yaml")
	}
	return ok("build, staging, production")
}

func restrictedOf(_ *Site, e export) Finding {
	var open []string
	for _, each := range e.Jenkins.Clouds {
		for _, cloud := range each {
			if !cloud.UsageRestricted && slices.Contains(folders, cloud.Name) {
				open = append(open, cloud.Name)
			}
		}
	}
	if len(open) > 0 {
		return missing("usageRestricted is false in the cloud %s", all(open)).
			with("set usageRestricted: true, and permittedClouds in each folder, as docs/jenkins.yaml does")
	}
	return ok("usageRestricted is true")
}

func libraryIn(e export) *library {
	for i, each := range e.Unclassified.GlobalLibraries.Libraries {
		if each.Name == "slipway" {
			return &e.Unclassified.GlobalLibraries.Libraries[i]
		}
	}
	return nil
}

func libraryOf(_ *Site, e export) Finding {
	found := libraryIn(e)
	switch {
	case found == nil:
		return missing("unclassified.globalLibraries has no library slipway").with("take unclassified.globalLibraries of docs/jenkins.yaml")
	case found.DefaultVersion == "":
		return missing("the library slipway has no defaultVersion").with("set defaultVersion: v1")
	}
	return ok("in the version %s", found.DefaultVersion)
}

func overrideOf(_ *Site, e export) Finding {
	found := libraryIn(e)
	if found == nil {
		return skipped("there is no library slipway: jenkins-library")
	}
	if found.AllowVersionOverride == nil || *found.AllowVersionOverride {
		return missing("allowVersionOverride is true").with("set allowVersionOverride: false for the global library slipway")
	}
	return ok("allowVersionOverride is false")
}
