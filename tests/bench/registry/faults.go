package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"slipway.dev/slipway/tests/lab/nexus"
	"slipway.dev/slipway/tests/registry/site"
)

// patience is how long a tool may take to say something.
const patience = 30 * time.Second

// peer is a tool that lists tags and then names the digest of one. What is asked
// of it is the newest release: the highest number of the list, pinned.
type peer struct {
	program      string
	list, digest []string              // its arguments; what is asked for follows
	before       string                // how it writes a reference
	plain        func(string) []string // more arguments that allow plain HTTP with a host
	tags         func(stdout string) []string
}

var peers = []peer{
	{program: "crane", list: []string{"ls"}, digest: []string{"digest"}, tags: strings.Fields,
		plain: func(string) []string { return []string{"--insecure"} }},
	{program: "regctl", list: []string{"tag", "ls"}, digest: []string{"image", "digest"}, tags: strings.Fields,
		plain: func(host string) []string { return []string{"--host", "reg=" + host + ",tls=disabled"} }},
	{
		program: "skopeo", list: []string{"list-tags"}, digest: []string{"inspect", "--format", "{{.Digest}}"}, before: "docker://",
		plain: func(string) []string { return []string{"--tls-verify=false"} },
		tags: func(stdout string) []string {
			var list struct{ Tags []string }
			_ = json.Unmarshal([]byte(stdout), &list) // what it cannot read has no tags
			return list.Tags
		},
	},
}

// scene is a registry with a fault, and what is right there.
type scene struct {
	name       string
	repository string
	right      string // the tag; empty where there is none to tell
	prepare    func(*site.Front)
	server     encryption
	password   string
}

// encryption is what the registry speaks, and what of it the tools are told.
type encryption int

const (
	plain     encryption = iota // HTTP, as the tools are told
	secret                      // HTTP, and nobody said so
	trusted                     // HTTPS, and the authority is known
	untrusted                   // HTTPS, and it is not
)

const (
	manyTags = "faults/many"
	many     = 10_000
)

func scenes() []scene {
	all := []scene{{name: "no fault", right: site.Newest, prepare: func(f *site.Front) { f.Switch() }}}
	for _, fault := range site.Faults {
		s := scene{name: fault.Name, right: site.Newest, prepare: func(f *site.Front) { f.Switch(fault) }}
		switch {
		case !fault.Certain:
			s.right = ""
		case fault.Name == nexus.Gone:
			s.right = "latest-94"
		case fault.Name == nexus.NullTags:
			s.right, s.repository = "", "faults/empty"
		}
		all = append(all, s)
	}
	newest := fmt.Sprintf("latest-%d", many)
	return append(all,
		scene{name: fmt.Sprintf("%d tags", many), repository: manyTags, right: newest,
			prepare: func(f *site.Front) { f.Set(nexus.WrongLink, "") }},
		scene{name: fmt.Sprintf("%d tags, wrong-link", many), repository: manyTags, right: newest, prepare: func(*site.Front) {}},
		scene{name: "no fault, HTTPS", right: site.Newest, server: trusted, prepare: func(f *site.Front) { f.Switch() }},
		scene{name: "self-signed certificate", server: untrusted, prepare: func(f *site.Front) { f.Switch() }},
		scene{name: "plain HTTP, not asked for", server: secret, prepare: func(f *site.Front) { f.Switch() }},
		scene{name: "wrong password", password: "wrong horse", prepare: func(f *site.Front) { f.Switch() }},
	)
}

// showFaults asks every tool for the newest release in every scene.
func showFaults(tools *tools, registry *site.Registry) error {
	if err := seedFaults(registry); err != nil {
		return err
	}
	fmt.Printf("## What each says to a registry's faults\n\nAsked for the newest release: the highest number of the list, with its digest. Plain HTTP, as the tools are told, where nothing else is said.\n\n| fault | nexus-latest-tag | crane | regctl | skopeo |\n|---|---|---|---|---|\n")
	for _, s := range scenes() {
		cells := []string{s.name}
		for i := range 4 {
			cell, err := s.play(tools, registry, i)
			if err != nil {
				return err
			}
			if i == 0 && cell != "right" && (cell != "error" || s.right != "") {
				return fmt.Errorf("%s: nexus-latest-tag is not right: %s", s.name, cell)
			}
			cells = append(cells, cell)
		}
		fmt.Printf("| %s |\n", strings.Join(cells, " | "))
	}
	fmt.Println()
	return nil
}

func seedFaults(registry *site.Registry) error {
	for repository, count := range map[string]int{"faults/app": site.Builds, "faults/empty": 1, manyTags: many} {
		if err := registry.Seed(repository, count); err != nil {
			return err
		}
	}
	for _, tag := range []string{"feature-12", "latest", "latest-rc-99", "v1.2.3"} {
		if err := registry.Tag("faults/app", tag, site.Newest); err != nil {
			return err
		}
	}
	return registry.Untag("faults/empty")
}

// stage is a front for one tool in one scene, and the environment that reaches it.
type stage struct {
	*site.Front
	host  string
	env   []string
	clear atomic.Int64 // requests that brought the password although nobody asked for plain HTTP
	close func()
}

func newStage(tools *tools, registry *site.Registry, server encryption, password string) (*stage, error) {
	folder, err := os.MkdirTemp(tools.home, "stage")
	if err != nil {
		return nil, err
	}
	front, err := site.NewFront(registry.URL, folder)
	if err != nil {
		return nil, err
	}
	s := &stage{Front: front, host: front.Host, close: front.Close}
	if server == plain || server == secret {
		inClear := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if server == secret && r.Header.Get("Authorization") != "" {
				s.clear.Add(1)
			}
			front.ServeHTTP(w, r)
		}))
		s.host = strings.TrimPrefix(inClear.URL, "http://")
		s.close = func() { inClear.CloseClientConnections(); inClear.Close(); front.Close() }
	}
	login := filepath.Join(folder, "config.json")
	if err := os.WriteFile(login, site.DockerConfig(s.host, password), 0o600); err != nil {
		s.close()
		return nil, err
	}
	s.env = append(tools.environment(), "DOCKER_CONFIG="+folder, "REGISTRY_AUTH_FILE="+login)
	if server == trusted {
		s.env = append(s.env, "SSL_CERT_FILE="+front.CA)
	}
	return s, nil
}

// play asks one tool, the first of which is ours, and says how right its answer is.
func (s scene) play(tools *tools, registry *site.Registry, tool int) (string, error) {
	stage, err := newStage(tools, registry, s.server, cmp.Or(s.password, site.Password))
	if err != nil {
		return "", err
	}
	defer stage.close()
	s.prepare(stage.Front)
	repository := cmp.Or(s.repository, "faults/app")
	var tag string
	var code int
	if tool == 0 {
		tag, code, err = s.ours(tools, stage.env, stage.host+"/"+repository)
	} else {
		tag, code, err = s.theirs(tools, stage.env, peers[tool-1], stage.host, repository)
	}
	if err != nil {
		return "", err
	}
	return s.verdict(tag, code, stage.clear.Load()), nil
}

func (s scene) verdict(tag string, code int, clear int64) string {
	var said string
	switch {
	case code < 0:
		said = fmt.Sprintf("**no end** (stopped after %s)", patience)
	case code != 0 && s.right == "":
		said = "error"
	case code != 0:
		said = "error (no answer)"
	case tag == "":
		said = "no release, exit 0"
	case tag == s.right:
		said = "right"
	case s.server == secret:
		said = "an answer"
	default:
		said = "**wrong: " + tag + "**"
	}
	if clear > 0 {
		said += ", **the password in clear**"
	}
	return said
}

func (s scene) ours(tools *tools, env []string, repository string) (string, int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	arguments := []string{"--allow-unverified", "-o", "json", repository}
	if s.server == plain {
		arguments = append(arguments, "--plain-http")
	}
	got, err := site.Run(ctx, env, tools.path("nexus-latest-tag"), arguments...)
	var found struct{ Tag string }
	if err == nil && got.Code == 0 {
		err = json.Unmarshal([]byte(got.Stdout), &found)
	}
	return found.Tag, got.Code, err
}

var release = regexp.MustCompile(`^latest-([0-9]+)$`)

func (s scene) theirs(tools *tools, env []string, peer peer, host, repository string) (string, int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	run := func(arguments []string, asked string) (site.Answer, error) {
		arguments = append(slices.Clone(arguments), peer.before+host+"/"+asked)
		if s.server == plain {
			arguments = append(arguments, peer.plain(host)...)
		}
		return site.Run(ctx, env, tools.path(peer.program), arguments...)
	}
	got, err := run(peer.list, repository)
	if err != nil || got.Code != 0 {
		return "", got.Code, err
	}
	newest, highest := "", 0
	for _, tag := range peer.tags(got.Stdout) {
		var number int
		if release.MatchString(tag) {
			if _, err := fmt.Sscanf(tag, "latest-%d", &number); err != nil {
				return "", 0, err
			}
		}
		if number > highest {
			newest, highest = tag, number
		}
	}
	if newest == "" {
		return "", 0, nil
	}
	got, err = run(peer.digest, repository+":"+newest)
	return newest, got.Code, err
}
