package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

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
	config, err := json.Marshal(map[string]any{"architecture": "amd64", "os": "linux", "config": map[string]any{},
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffs}})
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
