package setup

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"slipway.dev/slipway/tests/lab/cache"
)

// instead are the files that the part has in place of its modules' own, below
// parts/NAME/instead: what the lab never uses, and what took long to build.
func (p Part) instead(source string) (files []string, err error) {
	err = filepath.WalkDir(p.insteads(source), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	if os.IsNotExist(err) {
		return nil, nil
	}
	return files, err
}

func (p Part) insteads(source string) string {
	return filepath.Join(source, "parts", p.Name, "instead")
}

// modfile makes copies of the modules of which some files are others, and a go.mod that
// takes them; it gives the go command's flag for it, and none where the part has no such
// files. The go command's own -overlay does not reach into the cache of modules.
func (p Part) modfile(ctx context.Context, program, source string) ([]string, error) {
	files, err := p.instead(source)
	if err != nil || files == nil {
		return nil, err
	}
	dir := modules(program)
	return []string{"-modfile=" + filepath.Join(dir, "go.mod")}, cache.Fill(dir, func(unfinished string) error {
		for _, name := range []string{"go.mod", "go.sum"} {
			if err := copyTo(unfinished, name, filepath.Join(p.module(source), name)); err != nil {
				return err
			}
		}
		copied := map[string]bool{}
		for _, file := range files {
			name, err := filepath.Rel(p.insteads(source), file)
			if err != nil {
				return err
			}
			found, err := p.golang(ctx, source, "list", "-find", "-f", "{{.Module.Path}} {{.Module.Dir}}", filepath.Dir(name))
			if err != nil {
				return err
			}
			module, at, _ := strings.Cut(strings.TrimSpace(found), " ")
			if !copied[module] {
				copied[module] = true
				if err := os.CopyFS(filepath.Join(unfinished, module), os.DirFS(at)); err != nil {
					return fmt.Errorf("copying %s: %w", module, err)
				}
				if _, err := p.golang(ctx, source, "mod", "edit", "-replace", module+"="+filepath.Join(dir, module),
					filepath.Join(unfinished, "go.mod")); err != nil {
					return err
				}
			}
			// It may be for reading only; that it is gone is a new version's doing, which has to be looked at.
			if err := os.Remove(filepath.Join(unfinished, name)); err != nil {
				return fmt.Errorf("replacing a file of %s: %w", module, err)
			}
			if err := copyTo(unfinished, name, file); err != nil {
				return err
			}
		}
		return nil
	})
}

// modules are beside the part's folder, until it is built.
func modules(program string) string { return filepath.Dir(program) + ".modules" }

func copyTo(dir, name, file string) error {
	body, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name), body, 0o644)
}

// golang runs the go command for the part.
func (p Part) golang(ctx context.Context, source string, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, "go", arguments...)
	command.Dir = p.module(source)
	command.Env = p.surroundings()
	var complaint strings.Builder
	command.Stderr = &complaint
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, lastLines(complaint.String(), 20))
	}
	return string(out), nil
}
