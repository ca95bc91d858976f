package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// registry is the real one, and a front that only counts.
type registry struct {
	host, counted string
	requests      atomic.Int64
	storage       string
	stop          func()
}

func startRegistry(program, dir string) (*registry, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &registry{host: listener.Addr().String(), storage: filepath.Join(dir, "storage")}
	listener.Close()
	config := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %q}}\nhttp: {addr: %q}\n", r.storage, r.host)
	if err := os.WriteFile(filepath.Join(dir, "registry.yaml"), []byte(config), 0o600); err != nil {
		return nil, err
	}
	command := exec.Command(program, "serve", filepath.Join(dir, "registry.yaml"))
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	command.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("starting the registry: %w", err)
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: r.host})
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.requests.Add(1)
		proxy.ServeHTTP(w, request)
	}))
	r.counted = strings.TrimPrefix(front.URL, "http://")
	r.stop = func() { front.Close(); _ = command.Process.Kill(); _ = command.Wait() }
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if response, err := http.Get("http://" + r.host + "/v2/"); err == nil {
			response.Body.Close()
			return r, nil
		}
	}
	r.stop()
	return nil, fmt.Errorf("the registry does not answer")
}

// seed pushes one image and writes so many tags of it into the registry's storage.
func (r *registry) seed(repository string, count int) error {
	config := []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`)
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": []any{},
		"config": map[string]any{"mediaType": "application/vnd.oci.image.config.v1+json", "size": len(config), "digest": digest(config)},
	})
	if err != nil {
		return err
	}
	begun, err := http.Post("http://"+r.host+"/v2/"+repository+"/blobs/uploads/", "", nil)
	if err != nil {
		return err
	}
	begun.Body.Close()
	for _, put := range []struct {
		url, kind string
		body      []byte
	}{
		{begun.Header.Get("Location") + "&digest=" + digest(config), "application/octet-stream", config},
		{"http://" + r.host + "/v2/" + repository + "/manifests/latest-0", "application/vnd.oci.image.manifest.v1+json", manifest},
	} {
		request, err := http.NewRequest(http.MethodPut, put.url, bytes.NewReader(put.body))
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", put.kind)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		response.Body.Close()
		if response.StatusCode != http.StatusCreated {
			return fmt.Errorf("seeding %s: %s", put.url, response.Status)
		}
	}
	tags := filepath.Join(r.storage, "docker/registry/v2/repositories", repository, "_manifests/tags")
	for i := 1; i < count; i++ {
		current := filepath.Join(tags, fmt.Sprintf("latest-%d", i), "current")
		if err := os.MkdirAll(current, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(current, "link"), []byte(digest(manifest)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func digest(body []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(body)) }

// writeImage writes a tar as Kaniko does, with five compressed layers. Half of
// each cannot be compressed, as in images of programs.
func writeImage(dir string, megabytes int) (string, error) {
	file := filepath.Join(dir, "image.tar")
	opened, err := os.Create(file)
	if err != nil {
		return "", err
	}
	defer opened.Close()
	out := tar.NewWriter(opened)
	var diffs, names []string
	for range 5 {
		var packed bytes.Buffer
		zip, hash := gzip.NewWriter(&packed), sha256.New()
		block := make([]byte, 1<<20)
		for packed.Len() < megabytes<<20/5 {
			if _, err := rand.Read(block[:len(block)/2]); err != nil {
				return "", err
			}
			hash.Write(block)
			if _, err := zip.Write(block); err != nil {
				return "", err
			}
		}
		if err := zip.Close(); err != nil {
			return "", err
		}
		name := strings.TrimPrefix(digest(packed.Bytes()), "sha256:") + ".tar.gz"
		if err := add(out, name, packed.Bytes()); err != nil {
			return "", err
		}
		diffs, names = append(diffs, fmt.Sprintf("sha256:%x", hash.Sum(nil))), append(names, name)
	}
	config, err := json.Marshal(map[string]any{"architecture": "amd64", "os": "linux", "config": map[string]any{}, "rootfs": map[string]any{"type": "layers", "diff_ids": diffs}})
	if err != nil {
		return "", err
	}
	saved, err := json.Marshal([]map[string]any{{"Config": digest(config), "RepoTags": []string{"bench.example/app:1"}, "Layers": names}})
	if err != nil {
		return "", err
	}
	if err := add(out, digest(config), config); err != nil {
		return "", err
	}
	if err := add(out, "manifest.json", saved); err != nil {
		return "", err
	}
	return file, out.Close()
}

func add(out *tar.Writer, name string, body []byte) error {
	if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(body))}); err != nil {
		return err
	}
	_, err := out.Write(body)
	return err
}
