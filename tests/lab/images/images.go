// Package images makes the images that a site has in its registry, from
// packages and from the lab's own builds, under the names of the field.
package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"slipway.dev/slipway/tests/lab/cache"
	"slipway.dev/slipway/tests/lab/pins"
	"slipway.dev/slipway/tests/lab/progress"
)

// Input is what the images are made from.
type Input struct {
	Cache    string            // the lab's cache
	Source   string            // the lab's sources, two folders below the repository's root
	Programs map[string]string // the built parts' paths
}

func (in Input) dir(elements ...string) string {
	return filepath.Join(append([]string{in.Cache, "images"}, elements...)...)
}

func (in Input) repository(elements ...string) string {
	return filepath.Join(append([]string{in.Source, "..", ".."}, elements...)...)
}

// An image is made again when its key changes: version, which counts changes of
// its recipe, and the files that it is made from.
type image struct {
	names   []string // repository:tag, as the mirror serves it
	version int
	files   []string
	today   bool // made anew each day: the scan refuses an old database
	make    func(ctx context.Context) (v1.Image, error)
}

func (in Input) key(i image) (string, error) {
	hash := sha256.New()
	fmt.Fprintln(hash, i.names, i.version)
	if i.today {
		fmt.Fprintln(hash, time.Now().Format(time.DateOnly))
	}
	for _, name := range i.files {
		// A built program's path holds the hash of its sources; a small file is
		// read. Where the checkout is makes no difference.
		fmt.Fprintln(hash, strings.TrimPrefix(name, in.Source))
		if info, err := os.Stat(name); err != nil {
			return "", err
		} else if info.Mode().IsRegular() && info.Size() < 1<<20 {
			body, err := os.ReadFile(name)
			if err != nil {
				return "", err
			}
			hash.Write(body)
		}
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// Ensure makes the images that the mirror does not have yet, and the package
// index. The base systems must be there: Ground.
func Ensure(ctx context.Context, in Input, log io.Writer) error {
	unlock, err := cache.Lock(in.dir("lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if err := packageIndex(ctx, in, log); err != nil {
		return err
	}
	names, err := pins.Read(in.repository())
	if err != nil {
		return err
	}
	var missing []image
	for _, image := range in.images(names) {
		key, err := in.key(image)
		if err != nil {
			return err
		}
		if known, err := os.ReadFile(in.marker(image)); err != nil || string(known) != key {
			missing = append(missing, image)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	mirror, err := openMirror(ctx, in)
	if err != nil {
		return err
	}
	defer mirror.close()
	for _, image := range missing {
		fmt.Fprintf(log, "lab: making the image %s\n", image.names[0])
		done := progress.Report(log, "lab: making the image "+image.names[0])
		made, err := image.make(ctx)
		done()
		if err != nil {
			return fmt.Errorf("making the image %s: %w", image.names[0], err)
		}
		for _, name := range image.names {
			if err := mirror.push(ctx, name, made); err != nil {
				return err
			}
		}
		key, err := in.key(image)
		if err != nil {
			return err
		}
		if err := os.WriteFile(in.marker(image), []byte(key), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// marker keeps an image's key. What is built on the bases is built again when one that begins with made- changes.
func (in Input) marker(i image) string {
	kind := "made-"
	if i.today {
		kind = "data-"
	}
	return in.dir(kind + strings.NewReplacer("/", "_", ":", "_").Replace(i.names[0]))
}
