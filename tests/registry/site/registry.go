// Package site is what tests and benches of the registry's tools stand on: the
// real registry, the Nexus front before it, and programs that are watched.
package site

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
)

// Registry is a distribution registry on loopback that knows no login.
type Registry struct {
	URL     *url.URL
	storage string
	command *exec.Cmd
}

// Program is the registry that make setup has built for the lab.
func Program() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	built, err := filepath.Glob(filepath.Join(cache, "slipway-lab", "parts", "registry-*", "registry"))
	if err != nil || len(built) == 0 {
		return "", errors.New("there is no registry in the lab's cache: make setup builds it")
	}
	return built[0], nil
}

// Folder makes a temporary folder, in memory where there is room for a registry of
// a hundred thousand tags: on a disk it takes a minute to write, and one to remove.
// It is this process' as long as that lives; what killed ones left is removed.
func Folder() (string, error) {
	const shared, room = "/dev/shm", 2 << 30
	parent := os.TempDir()
	var free syscall.Statfs_t
	if err := syscall.Statfs(shared, &free); err == nil && free.Bavail*uint64(free.Bsize) > room {
		parent = shared
	}
	left, err := filepath.Glob(filepath.Join(parent, prefix+"*"))
	if err != nil {
		return "", err
	}
	for _, folder := range left {
		if own(folder) == nil {
			if err := os.RemoveAll(folder); err != nil {
				return "", err
			}
		}
	}
	folder, err := os.MkdirTemp(parent, prefix)
	if err != nil {
		return "", err
	}
	return folder, own(folder)
}

const prefix = "slipway-registry"

// own locks the folder until this process ends, unless another one has.
func own(folder string) error {
	opened, err := syscall.Open(folder, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening %s: %w", folder, err)
	}
	if err := syscall.Flock(opened, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		syscall.Close(opened)
		return fmt.Errorf("locking %s: %w", folder, err)
	}
	return nil
}

var listening = regexp.MustCompile(`msg="listening on ([0-9.:]+)"`)

// Start starts the registry with its storage in the folder, and waits until it says where it listens.
func Start(program, folder string) (*Registry, error) {
	r := &Registry{storage: filepath.Join(folder, "storage")}
	config := fmt.Sprintf("version: 0.1\nlog: {level: info, formatter: text, accesslog: {disabled: true}}\nstorage:\n  filesystem: {rootdirectory: %q}\n  delete: {enabled: true}\nhttp: {addr: \"127.0.0.1:0\"}\n", r.storage)
	file := filepath.Join(folder, "registry.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	r.command = exec.Command(program, "serve", file)
	r.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	r.command.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	log, err := r.command.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := r.command.Start(); err != nil {
		return nil, fmt.Errorf("starting the registry: %w", err)
	}
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if match := listening.FindStringSubmatch(lines.Text()); match != nil {
			r.URL = &url.URL{Scheme: "http", Host: match[1]}
			go func() { _, _ = io.Copy(io.Discard, log) }() // else it would stand still when the pipe is full
			return r, nil
		}
	}
	r.Stop()
	return nil, errors.New("the registry ended before it listened")
}

// Stop ends the registry.
func (r *Registry) Stop() {
	_ = r.command.Process.Kill()
	_ = r.command.Wait()
}

// Seed pushes an image without layers as latest-1, and writes as many tags of it
// as there are to be into the registry's storage.
func (r *Registry) Seed(repository string, count int) error {
	config := []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`)
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": []any{},
		"config": map[string]any{"mediaType": "application/vnd.oci.image.config.v1+json", "size": len(config), "digest": digest(config)},
	})
	if err != nil {
		return err
	}
	begun, err := http.Post(r.URL.JoinPath("v2", repository, "blobs/uploads/").String(), "", nil)
	if err != nil {
		return err
	}
	begun.Body.Close()
	if err := put(begun.Header.Get("Location")+"&digest="+digest(config), "application/octet-stream", config); err != nil {
		return err
	}
	if err := put(r.URL.JoinPath("v2", repository, "manifests/latest-1").String(), "application/vnd.oci.image.manifest.v1+json",
		manifest); err != nil {
		return err
	}
	return r.SeedTags(repository, digest(manifest), count)
}

func digest(body []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(body)) }

func put(address, kind string, body []byte) error {
	request, err := http.NewRequest(http.MethodPut, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", kind)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		return fmt.Errorf("putting %s: %s", address, response.Status)
	}
	return nil
}

// SeedTags writes the tags latest-1 to latest-COUNT into the registry's storage, all of one image that is there.
func (r *Registry) SeedTags(repository, digest string, count int) error {
	for i := 1; i <= count; i++ {
		if err := r.link(repository, fmt.Sprintf("latest-%d", i), digest); err != nil {
			return err
		}
	}
	return nil
}

func (r *Registry) link(repository, tag, digest string) error {
	folder := filepath.Join(r.tags(repository), tag, "current")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "link"), []byte(digest), 0o644)
}

// Tag writes one more tag of the image that another one names.
func (r *Registry) Tag(repository, tag, same string) error {
	named, err := os.ReadFile(filepath.Join(r.tags(repository), same, "current", "link"))
	if err != nil {
		return err
	}
	return r.link(repository, tag, string(named))
}

// Untag takes all tags from a repository that stays there.
func (r *Registry) Untag(repository string) error {
	if err := os.RemoveAll(r.tags(repository)); err != nil {
		return err
	}
	return os.Mkdir(r.tags(repository), 0o755)
}

func (r *Registry) tags(repository string) string {
	return filepath.Join(r.storage, "docker", "registry", "v2", "repositories", repository, "_manifests", "tags")
}
