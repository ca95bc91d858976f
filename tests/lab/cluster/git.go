package cluster

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Each push appends one line a reference to the file that LAB_GIT_EVENTS names:
// the repository, the reference, the old and the new commit. It is what Gitee's
// web hook tells in the field.
const postReceive = `#!/bin/sh
while read old new ref; do echo "$(basename "$PWD") $ref $old $new" >> %q; done
`

// startGit serves the bare repositories below LAB_GIT_ROOT over HTTP; one that
// does not exist yet is made by the first push to it.
func (c *Cluster) startGit(context.Context) error {
	root, events := filepath.Join(c.Dir, "git"), filepath.Join(c.Dir, "git-events")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	if _, err := c.write("git-events", ""); err != nil {
		return err
	}
	hooks := filepath.Join(c.Dir, "git-template", "hooks")
	if _, err := c.write("git-template/hooks/post-receive", fmt.Sprintf(postReceive, events)); err != nil {
		return err
	}
	if err := os.Chmod(filepath.Join(hooks, "post-receive"), 0o755); err != nil {
		return err
	}
	backend := &cgi.Handler{
		Path: "/usr/lib/git-core/git-http-backend",
		Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=lab", "GIT_CONFIG_COUNT=1",
			"GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"},
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")[0]; r.URL.Query().Get("service") == "git-receive-pack" {
			if err := createRepository(r.Context(), filepath.Join(root, filepath.Base(name)), filepath.Dir(hooks)); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
		}
		backend.ServeHTTP(w, r)
	})
	c.setenv("LAB_GIT_URL", "http://git.lab:3000")
	c.setenv("LAB_GIT_ROOT", root)
	c.setenv("LAB_GIT_EVENTS", events)
	return serve(&http.Server{Addr: NodeAddress + ":3000", Handler: handler})
}

func createRepository(ctx context.Context, dir, template string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if out, err := exec.CommandContext(ctx, "git", "init", "-q", "--bare", "--template", template, dir).CombinedOutput(); err != nil {
		return fmt.Errorf("making the repository %s: %w: %s", filepath.Base(dir), err, out)
	}
	return nil
}

// serveTLS is serve over HTTPS.
func serveTLS(server *http.Server, certificate, key string) error {
	listener, err := net.Listen("tcp", server.Addr)
	if err != nil {
		return err
	}
	// HTTP/2's errors at a client that goes away are nobody's business here.
	server.ErrorLog = log.New(io.Discard, "", 0)
	go func() { _ = server.ServeTLS(listener, certificate, key) }()
	return nil
}

// serve serves for as long as the lab runs.
func serve(server *http.Server) error {
	listener, err := net.Listen("tcp", server.Addr)
	if err != nil {
		return err
	}
	go func() { _ = server.Serve(listener) }()
	return nil
}
