package registry

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// archive is a tar file whose entries are read where they lie; nothing is unpacked.
type archive struct {
	file    *os.File
	entries map[string]entry
	links   map[string]string
}

type entry struct{ offset, size int64 }

const maxEntries = 100_000

// openArchive reads the tar's headers to its end. Paths that lead out of it are refused.
func openArchive(file string) (*archive, error) {
	opened, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	a := &archive{file: opened, entries: map[string]entry{}, links: map[string]string{}}
	if err := a.index(); err != nil {
		opened.Close()
		return nil, err
	}
	return a, nil
}

func (a *archive) index() error {
	in := tar.NewReader(a.file)
	for count := 0; ; count++ {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return a.noTar(count, err)
		}
		if count == maxEntries {
			return fmt.Errorf("it has more than %d entries, and no image needs so many", maxEntries)
		}
		name, err := inside(header.Name)
		if err != nil {
			return err
		}
		if _, twice := a.entries[name]; twice || a.links[name] != "" {
			return fmt.Errorf("it holds %s twice", name)
		}
		switch header.Typeflag {
		case tar.TypeReg:
			if sparse(header) {
				return fmt.Errorf("its entry %s is sparse, and no image has such", name)
			}
			offset, err := a.file.Seek(0, io.SeekCurrent)
			if err != nil {
				return err
			}
			a.entries[name] = entry{offset, header.Size}
		case tar.TypeSymlink, tar.TypeLink: // docker save made links of layers that are the same
			target := header.Linkname
			if header.Typeflag == tar.TypeSymlink && !path.IsAbs(target) {
				target = path.Join(path.Dir(name), target)
			}
			if a.links[name], err = inside(target); err != nil {
				return err
			}
		case tar.TypeDir, tar.TypeXGlobalHeader:
		default:
			return fmt.Errorf("its entry %s is neither a file nor a folder nor a link", name)
		}
	}
}

func (a *archive) noTar(count int, cause error) error {
	start := make([]byte, 2)
	if _, err := a.file.ReadAt(start, 0); err == nil && start[0] == 0x1f && start[1] == 0x8b {
		return errors.New("it is compressed with gzip: unpack it first, with gunzip")
	}
	if errors.Is(cause, io.ErrUnexpectedEOF) {
		return fmt.Errorf("it is cut off after %d entries", count)
	}
	return cause
}

func inside(name string) (string, error) {
	clean := path.Clean(name)
	if path.IsAbs(name) || clean == ".." || strings.HasPrefix(clean, "../") {
		return "", fmt.Errorf("its path %q leads out of it", name)
	}
	return clean, nil
}

func sparse(header *tar.Header) bool {
	for key := range header.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return header.Typeflag == tar.TypeGNUSparse
}

// find follows links to an entry.
func (a *archive) find(name string) (entry, error) {
	clean, err := inside(name)
	if err != nil {
		return entry{}, err
	}
	for range 10 {
		if found, ok := a.entries[clean]; ok {
			return found, nil
		}
		target, ok := a.links[clean]
		if !ok {
			break
		}
		clean = target
	}
	return entry{}, fmt.Errorf("it names %s, and does not hold it", name)
}

func (a *archive) has(name string) bool {
	_, err := a.find(name)
	return err == nil
}

// read reads a small entry whole.
func (a *archive) read(name string, limit int64) ([]byte, error) {
	found, err := a.find(name)
	if err != nil {
		return nil, err
	}
	if found.size > limit {
		return nil, fmt.Errorf("its %s is %d bytes long, and %d MB is the most that one can be", name, found.size, limit>>20)
	}
	body := make([]byte, found.size)
	if _, err := io.ReadFull(a.section(found), body); err != nil {
		return nil, fmt.Errorf("its %s is cut off: %w", name, err)
	}
	return body, nil
}

func (a *archive) section(e entry) *io.SectionReader {
	return io.NewSectionReader(a.file, e.offset, e.size)
}
