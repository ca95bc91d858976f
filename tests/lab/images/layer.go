package images

import (
	"archive/tar"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// A tree is what one layer is made of.
type tree func(out *tar.Writer) error

func layer(trees ...tree) (v1.Layer, error) {
	file, err := os.CreateTemp("", "layer")
	if err != nil {
		return nil, err
	}
	defer os.Remove(file.Name())
	out := tar.NewWriter(file)
	for _, write := range trees {
		if err := write(out); err != nil {
			return nil, err
		}
	}
	if err := out.Close(); err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	// Opened again for each reading; kept compressed, so that the file may go.
	return tarball.LayerFromFile(file.Name(), tarball.WithCompressionLevel(gzip.BestSpeed), tarball.WithCompressedCaching)
}

// What no container needs of a base system.
var superfluous = []string{"/usr/share/doc", "/usr/share/man", "/usr/share/locale", "/usr/share/info", "/var/cache/apt",
	"/var/lib/apt/lists", "/var/cache/debconf", "/usr/share/zoneinfo/right", "/var/log", "/usr/lib/python3.11/EXTERNALLY-MANAGED"}

// system is the files of a base system; below names one whose equal files are left out.
func system(root, below string) tree {
	return func(out *tar.Writer) error {
		return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			name := strings.TrimPrefix(path, root)
			if name == "" {
				return nil
			}
			for _, prefix := range superfluous {
				if name == prefix {
					if entry.IsDir() {
						return filepath.SkipDir
					}
					return nil
				}
			}
			info, err := entry.Info()
			if err != nil {
				return err
			}
			if below != "" && !info.IsDir() {
				if other, err := os.Lstat(below + name); err == nil && other.Size() == info.Size() && other.Mode() == info.Mode() &&
					other.ModTime().Equal(info.ModTime()) {
					return nil
				}
			}
			if info.Mode()&(fs.ModeDevice|fs.ModeSocket|fs.ModeNamedPipe) != 0 {
				return nil // the runtime makes the devices
			}
			return writeFile(out, path, strings.TrimPrefix(name, "/"), info)
		})
	}
}

func writeFile(out *tar.Writer, path, name string, info fs.FileInfo) error {
	link := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		var err error
		if link, err = os.Readlink(path); err != nil {
			return err
		}
	}
	header, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	header.Name, header.Format, header.Uname, header.Gname = name, tar.FormatPAX, "", ""
	if info.IsDir() {
		header.Name += "/"
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		header.Uid, header.Gid = int(stat.Uid), int(stat.Gid)
	}
	if err := out.WriteHeader(header); err != nil {
		return fmt.Errorf("packing %s: %w", name, err)
	}
	if !info.Mode().IsRegular() {
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(out, file)
	return err
}

// program is one executable file, taken from path.
func program(name, path string) tree {
	return func(out *tar.Writer) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: info.Size(), Format: tar.FormatPAX}); err != nil {
			return err
		}
		_, err = io.Copy(out, file)
		return err
	}
}

func text(name string, mode int64, body string) tree {
	return func(out *tar.Writer) error {
		if err := out.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(body)), Format: tar.FormatPAX}); err != nil {
			return err
		}
		_, err := io.WriteString(out, body)
		return err
	}
}

func folder(name string, mode int64, uid int) tree {
	return func(out *tar.Writer) error {
		return out.WriteHeader(&tar.Header{Name: name + "/", Typeflag: tar.TypeDir, Mode: mode, Uid: uid, Gid: uid, Format: tar.FormatPAX})
	}
}

func link(name, target string) tree {
	return func(out *tar.Writer) error {
		return out.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target, Mode: 0o777, Format: tar.FormatPAX})
	}
}
