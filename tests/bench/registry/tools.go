package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"slipway.dev/slipway/tests/registry/site"
)

// tool runs for the n-th time, through the front that counts or past it.
type tool struct {
	name string
	run  func(n int, count bool) (site.Answer, error)
}

type tools struct{ bin, home, host, counted string }

func (t *tools) address(count bool) string {
	if count {
		return t.counted
	}
	return t.host
}

// listing are ours, whose answer is pinned by its digest; the others' lists alone;
// and the others' lists with the digest of the newest, which is the same answer.
func (t *tools) listing(repository, newest string) []tool {
	alone := []tool{
		{"nexus-latest-tag", func(_ int, count bool) (site.Answer, error) {
			return t.run("nexus-latest-tag", "--plain-http", "--allow-unverified", t.address(count)+"/"+repository)
		}},
		{"crane ls", func(_ int, count bool) (site.Answer, error) {
			return t.run("crane", "ls", "--insecure", t.address(count)+"/"+repository)
		}},
		{"regctl tag ls", func(_ int, count bool) (site.Answer, error) {
			return t.run("regctl", "--host", "reg="+t.address(count)+",tls=disabled", "tag", "ls", t.address(count)+"/"+repository)
		}},
		{"skopeo list-tags", func(_ int, count bool) (site.Answer, error) {
			return t.run("skopeo", "list-tags", "--tls-verify=false", "docker://"+t.address(count)+"/"+repository)
		}},
	}
	digests := []func(count bool) (site.Answer, error){
		func(count bool) (site.Answer, error) {
			return t.run("crane", "digest", "--insecure", t.address(count)+"/"+repository+":"+newest)
		},
		func(count bool) (site.Answer, error) {
			return t.run("regctl", "--host", "reg="+t.address(count)+",tls=disabled", "image", "digest", t.address(count)+"/"+repository+":"+newest)
		},
		func(count bool) (site.Answer, error) {
			return t.run("skopeo", "inspect", "--no-tags", "--tls-verify=false", "--format", "{{.Digest}}",
				"docker://"+t.address(count)+"/"+repository+":"+newest)
		},
	}
	all := alone
	for i, digest := range digests {
		list := alone[i+1].run
		var listed site.Answer // of the same run: nothing is listed twice
		all[i+1].run = func(run int, count bool) (site.Answer, error) {
			var err error
			listed, err = list(run, count)
			return listed, err
		}
		all = append(all, tool{alone[i+1].name + sameAnswer, func(run int, count bool) (site.Answer, error) {
			if count {
				if _, err := list(run, count); err != nil {
					return site.Answer{}, err
				}
			}
			pinned, err := digest(count)
			return site.Answer{Took: listed.Took + pinned.Took, Memory: max(listed.Memory, pinned.Memory)}, err
		}})
	}
	return all
}

const sameAnswer = ", then its digest"

func (t *tools) pushing(tar, state string) []tool {
	// Cold is a repository of its own for each run; otherwise it is a tag of its own
	// in the one that has all layers.
	reference := func(tool string, n int, count bool) string {
		if state == "cold" {
			return fmt.Sprintf("%s/push/%s-%d-%t:latest-1", t.address(count), tool, n, count)
		}
		return fmt.Sprintf("%s/push/%s-0-false:latest-%d-%t", t.address(count), tool, n, count)
	}
	return []tool{
		{"nexus-push", func(n int, count bool) (site.Answer, error) {
			return t.run("nexus-push", "--plain-http", "--tar", tar, reference("slipway", n, count))
		}},
		{"crane push", func(n int, count bool) (site.Answer, error) {
			return t.run("crane", "push", "--insecure", tar, reference("crane", n, count))
		}},
		{"skopeo copy", func(n int, count bool) (site.Answer, error) {
			if state == "cold" { // it remembers where layers are, and mounts them from there
				if err := os.RemoveAll(filepath.Join(t.home, "containers")); err != nil {
					return site.Answer{}, err
				}
			}
			return t.run("skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", "docker-archive:"+tar,
				"docker://"+reference("skopeo", n, count))
		}},
	}
}

func (t *tools) run(program string, arguments ...string) (site.Answer, error) {
	got, err := site.Run(context.Background(), t.environment(), t.path(program), arguments...)
	if err == nil && got.Code != 0 {
		err = fmt.Errorf("%s %v: exit %d\n%s", program, arguments, got.Code, got.Stderr)
	}
	return got, err
}

func (t *tools) environment() []string {
	// As root, skopeo would remember in /var/lib.
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.home, "XDG_DATA_HOME=" + t.home, "_CONTAINERS_ROOTLESS_UID=1000"}
}

// path is where a program is: skopeo is Debian's.
func (t *tools) path(program string) string {
	if program == "skopeo" {
		return "/usr/bin/skopeo"
	}
	return filepath.Join(t.bin, program)
}
