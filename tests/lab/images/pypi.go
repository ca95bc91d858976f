package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"html"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"slipway.dev/slipway/tests/lab/cache"
)

// pinned names the pip that python:3.11-slim carries.
const pinned = "pip==24.0"

// packageIndex fetches the wheels that the service's requirements name, and
// those of the releases that the lab's stories add, and lays them out as a simple index:
// https://packaging.python.org/en/latest/specifications/simple-repository-api/
func packageIndex(ctx context.Context, in Input, log io.Writer) error {
	if err := cache.Fill(in.dir("pip"), func(unfinished string) error {
		return pip(ctx, "install", "-q", "--no-compile", "--target", filepath.Join(unfinished, "usr/local/lib/python3.11/dist-packages"), pinned,
			"setuptools==69.5.1", "wheel==0.43.0")
	}); err != nil {
		return err
	}
	lists := []string{in.repository("requirements.txt"), in.repository("requirements-test.txt"),
		filepath.Join(in.Source, "images", "more-requirements.txt")}
	hash := sha256.New()
	for _, list := range lists {
		body, err := os.ReadFile(list)
		if err != nil {
			return fmt.Errorf("reading what the package index must hold: %w", err)
		}
		hash.Write(body)
	}
	dir := in.dir("pypi-" + hex.EncodeToString(hash.Sum(nil))[:12])
	if err := cache.Fill(dir, func(unfinished string) error {
		fmt.Fprintf(log, "lab: fetching the wheels of requirements.txt\n")
		wheels := filepath.Join(unfinished, "wheels")
		for _, list := range lists {
			if err := pip(ctx, "download", "-q", "--no-deps", "--dest", wheels, "--only-binary=:all:", "--python-version", "3.11",
				"--implementation", "cp", "--abi", "cp311", "--abi", "abi3", "--abi", "none",
				"--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_17_x86_64", "--platform", "manylinux_2_28_x86_64", "--platform",
				"any", "-r", list); err != nil {
				return err
			}
		}
		return layOut(wheels, filepath.Join(unfinished, "simple"))
	}); err != nil {
		return err
	}
	current := in.dir("pypi")
	if target, _ := os.Readlink(current); target == dir {
		return nil
	}
	next := current + ".next"
	os.Remove(next)
	if err := os.Symlink(dir, next); err != nil {
		return err
	}
	return os.Rename(next, current)
}

func pip(ctx context.Context, arguments ...string) error {
	command := exec.CommandContext(ctx, "python3", append([]string{"-m", "pip", "--disable-pip-version-check"}, arguments...)...)
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("pip %s: %w: %s", arguments[0], err, out)
	}
	return nil
}

var separators = regexp.MustCompile(`[-_.]+`)

func layOut(wheels, simple string) error {
	files, err := filepath.Glob(filepath.Join(wheels, "*.whl"))
	if err != nil {
		return err
	}
	pages := map[string]string{}
	for _, file := range files {
		project := strings.ToLower(separators.ReplaceAllString(strings.SplitN(filepath.Base(file), "-", 2)[0], "-"))
		body, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		dir := filepath.Join(simple, project)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := os.Rename(file, filepath.Join(dir, filepath.Base(file))); err != nil {
			return err
		}
		name := html.EscapeString(filepath.Base(file))
		pages[project] += fmt.Sprintf("<a href=\"%s#sha256=%x\">%s</a><br>\n", name, sha256.Sum256(body), name)
	}
	for project, page := range pages {
		if err := os.WriteFile(filepath.Join(simple, project, "index.html"), []byte("<!DOCTYPE html><html><body>\n"+page+"</body></html>\n"),
			0o644); err != nil {
			return err
		}
	}
	return nil
}
