package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"slipway.dev/slipway/tests/lab/nexus"
	"slipway.dev/slipway/tests/registry/site"
)

// pusher is a tool that pushes a tar of docker save's form over plain HTTP.
type pusher struct {
	program   string
	arguments func(tar, host, reference string) []string
}

var pushers = []pusher{
	{"nexus-push", func(tar, _, reference string) []string { return []string{"--plain-http", "--tar", tar, reference} }},
	{"crane", func(tar, _, reference string) []string { return []string{"push", "--insecure", tar, reference} }},
	{"regctl", func(tar, host, reference string) []string {
		return []string{"--host", "reg=" + host + ",tls=disabled", "image", "import", reference, tar}
	}},
	{"skopeo", func(tar, _, reference string) []string {
		return []string{"--insecure-policy", "copy", "--dest-tls-verify=false", "docker-archive:" + tar, "docker://" + reference}
	}},
}

// pushScene is something that goes wrong with a push.
type pushScene struct {
	name         string
	fault, value string // of the front
	tar          string
	refuse       bool // it is right to push nothing
}

// showPushes lets every tool push in every scene.
func showPushes(tools *tools, registry *site.Registry) error {
	whole, err := writeImage(tools.home, 20)
	if err != nil {
		return err
	}
	body, err := os.ReadFile(whole)
	if err != nil {
		return err
	}
	damaged := bytes.Clone(body)
	damaged[len(body)/3] ^= 0xff
	cut, changed := filepath.Join(tools.home, "cut.tar"), filepath.Join(tools.home, "changed.tar")
	for file, content := range map[string][]byte{cut: body[:len(body)/2], changed: damaged} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			return err
		}
	}
	fmt.Printf("## What each does with a push that something is wrong with\n\n| wrong | nexus-push | crane push | regctl image import | skopeo copy |\n|---|---|---|---|---|\n")
	for _, s := range []pushScene{
		{name: "a lost connection", fault: nexus.Dropped, value: "3000000", tar: whole},
		{name: "busy (429)", fault: nexus.Busy, value: "1", tar: whole},
		{name: "a token that expires", fault: nexus.Expiring, value: "3", tar: whole},
		{name: "a tag of another image", tar: whole, refuse: true},
		{name: "a tar that is cut off", tar: cut, refuse: true},
		{name: "a tar with a changed byte", tar: changed, refuse: true},
	} {
		cells := []string{s.name}
		for i := range pushers {
			cell, right, err := s.play(tools, registry, i)
			if err != nil {
				return err
			}
			if i == 0 && !right {
				return fmt.Errorf("%s: nexus-push is not right: %s", s.name, cell)
			}
			cells = append(cells, cell)
		}
		fmt.Printf("| %s |\n", strings.Join(cells, " | "))
	}
	fmt.Println()
	return nil
}

func (s pushScene) play(tools *tools, registry *site.Registry, tool int) (cell string, right bool, err error) {
	repository := "pushes/" + strings.NewReplacer(" ", "-", "(", "", ")", "").Replace(s.name) + fmt.Sprint(tool)
	if s.name == "a tag of another image" {
		if err := registry.Seed(repository, 1); err != nil {
			return "", false, err
		}
	}
	before, err := tagged(registry, repository)
	if err != nil {
		return "", false, err
	}
	stage, err := newStage(tools, registry, plain, site.Password)
	if err != nil {
		return "", false, err
	}
	defer stage.close()
	if s.fault != "" {
		stage.Set(s.fault, s.value)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	got, err := site.Run(ctx, stage.env, tools.path(pushers[tool].program),
		pushers[tool].arguments(s.tar, stage.host, stage.host+"/"+repository+":latest-1")...)
	if err != nil {
		return "", false, err
	}
	after, err := tagged(registry, repository)
	if err != nil {
		return "", false, err
	}
	switch {
	case got.Code < 0:
		return fmt.Sprintf("**no end** (stopped after %s)", patience), false, nil
	case got.Code != 0 && after != before:
		return "**error, and pushed**", false, nil
	case got.Code != 0 && s.refuse && stage.Requests() == 0:
		return "refused, nothing sent", true, nil
	case got.Code != 0 && s.refuse:
		return fmt.Sprintf("refused, %d requests", stage.Requests()), true, nil
	case got.Code != 0:
		return "error", false, nil
	case after == before:
		return "**exit 0, and not pushed**", false, nil
	case s.refuse && before != "":
		return "**overwritten**", false, nil
	case s.refuse:
		return "**pushed**", false, nil
	}
	return "pushed", true, nil
}

// tagged gives the digest that latest-1 names, or nothing.
func tagged(registry *site.Registry, repository string) (string, error) {
	request, err := http.NewRequest(http.MethodHead, registry.URL.JoinPath("v2", repository, "manifests/latest-1").String(), nil)
	if err != nil {
		return "", err
	}
	request.Header["Accept"] = []string{"application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	response.Body.Close()
	return response.Header.Get("Docker-Content-Digest"), nil
}
