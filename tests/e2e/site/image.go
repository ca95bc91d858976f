package site

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"slipway.dev/slipway/tests/lab/cache"
	"slipway.dev/slipway/tests/lab/pins"
)

// A namespace of its own, for as long as it builds: the agents' do not let a pod have a folder of the node.
const builder = `apiVersion: v1
kind: Namespace
metadata: {name: builder}
---
apiVersion: v1
kind: Pod
metadata: {name: builder, namespace: builder}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: kaniko
      image: %q
      command: [/busybox/sleep, infinity]
      volumeMounts: [{name: context, mountPath: /workspace/context}]
  volumes: [{name: context, hostPath: {path: %q}}]
`

// BuildAgentImage builds the lab's own agents' image with Kaniko and keeps it as a tar.
func BuildAgentImage(ctx context.Context, root, dir, tar string) error {
	s := &Site{Root: root, Dir: dir, Registry: os.Getenv("LAB_REGISTRY")}
	folder, err := s.agentContext()
	if err != nil {
		return err
	}
	if err := s.buildTar(ctx, folder, s.Registry+"/"+Agent); err != nil {
		return err
	}
	return copyFile(filepath.Join(folder, "image.tar"), tar)
}

// Build builds the folder's Dockerfile with Kaniko in a pod, pushes the tar, and gives the reference with its digest.
func (s *Site) Build(ctx context.Context, folder, tag string, arguments ...string) (string, error) {
	if err := s.buildTar(ctx, folder, tag, arguments...); err != nil {
		return "", err
	}
	tar := filepath.Join(folder, "image.tar")
	defer os.Remove(tar)
	return s.push(ctx, tar, tag)
}

func (s *Site) push(ctx context.Context, tar, tag string) (string, error) {
	out, err := s.helper(ctx, nil, "nexus-push", "--tar", tar, "--ca-file", os.Getenv("LAB_CA"), tag)
	return strings.TrimSpace(out), err
}

func (s *Site) buildTar(ctx context.Context, folder, tag string, arguments ...string) error {
	names, err := pins.Read(s.Root)
	if err != nil {
		return err
	}
	if err := Apply(ctx, fmt.Sprintf(builder, names["kaniko"], folder)); err != nil {
		return err
	}
	defer func() {
		_, _ = Kubectl(context.WithoutCancel(ctx), "delete", "namespace", "builder", "--wait=true")
	}()
	if _, err := Kubectl(ctx, "wait", "-n", "builder", "pod/builder", "--for=condition=Ready", "--timeout=2m"); err != nil {
		return err
	}
	build := append([]string{"exec", "-n", "builder", "builder", "--", "/kaniko/executor", "--log-format", "text", "--verbosity", "warn",
		"--context", "dir:///workspace/context", "--no-push", "--tar-path", "/workspace/context/image.tar", "--destination", tag,
		"--registry-map", "docker.io=" + os.Getenv("LAB_MIRROR"), "--registry-map", "index.docker.io=" + os.Getenv("LAB_MIRROR")}, arguments...)
	_, err = Kubectl(ctx, build...)
	return err
}

// agentContext is what the lab's own agents' image is built from, and nothing else.
func (s *Site) agentContext() (string, error) {
	folder := filepath.Join(s.Dir, "agent")
	program := filepath.Join(folder, "bin/slipway")
	if s.Recording {
		if err := recorder(program); err != nil {
			return "", err
		}
		program = filepath.Join(folder, "bin/recorded")
	}
	if err := copyFile(filepath.Join(s.Root, "bin/slipway"), program); err != nil {
		return "", err
	}
	file := filepath.Join(folder, "Dockerfile")
	if err := copyFile(filepath.Join(s.Root, "tests/e2e/site/agent.Dockerfile"), file); err != nil || !s.Recording {
		return folder, err
	}
	return folder, appendTo(file, "COPY bin/recorded /usr/local/bin/\n")
}

func appendTo(file, text string) error {
	body, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(body, text...), 0o644)
}

// recorder writes a program in the place of slipway that runs it and writes to the
// console what was asked and answered, for tests/pipelines to replay.
func recorder(file string) error {
	const script = `#!/bin/sh
name=${0##*/}
if [ "$name" = slipway ]; then name=$1; shift; fi
out=$(mktemp)
/usr/local/bin/recorded "$name" "$@" > "$out"
code=$?
cat "$out"
echo "RECORDED $name $(printf '%s\n' "$@" | base64 -w0) $(base64 -w0 "$out")" >&2
exit $code
`
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(script), 0o755)
}

// agentImage pushes the agents' image.
func (s *Site) agentImage(ctx context.Context) error {
	folder, err := s.agentContext()
	if err != nil {
		return err
	}
	sum := sha256.New()
	if err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return addFile(sum, folder, path)
	}); err != nil {
		return err
	}
	_, err = s.buildOnce(ctx, "agent", fmt.Sprintf("%x", sum.Sum(nil)), folder, s.Registry+"/"+Agent)
	return err
}

// buildOnce pushes what Kaniko makes of the folder's Dockerfile: now, or what it
// made earlier of the same content on the same bases. It gives the reference with its digest.
func (s *Site) buildOnce(ctx context.Context, name, content, folder, tag string, arguments ...string) (string, error) {
	made := filepath.Join(os.Getenv("LAB_CACHE"), "images")
	bases, err := filepath.Glob(filepath.Join(made, "made-*"))
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	for _, base := range bases {
		if err := addFile(sum, made, base); err != nil {
			return "", err
		}
	}
	fmt.Fprintf(sum, "%s %q", content, arguments)
	kept := filepath.Join(made, name, fmt.Sprintf("%x", sum.Sum(nil)))
	if err := cache.Fill(kept, func(unfinished string) error {
		if err := s.buildTar(ctx, folder, tag, arguments...); err != nil {
			return err
		}
		fresh := filepath.Join(folder, "image.tar")
		defer os.Remove(fresh)
		return copyFile(fresh, filepath.Join(unfinished, "image.tar"))
	}); err != nil {
		return "", err
	}
	if err := cache.Keep(filepath.Dir(kept), 3); err != nil {
		return "", err
	}
	return s.push(ctx, filepath.Join(kept, "image.tar"), tag)
}

func addFile(sum io.Writer, in, file string) error {
	body, err := os.ReadFile(file)
	fmt.Fprintf(sum, "%s %d\n%s", strings.TrimPrefix(file, in), len(body), body)
	return err
}
