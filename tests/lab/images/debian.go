package images

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// unpacked is where the files of a Debian package are that is not installed here.
func (in Input) unpacked(ctx context.Context, name string) (string, error) {
	download, err := os.MkdirTemp("", name)
	if err != nil {
		return "", err
	}
	for _, line := range []string{"apt-get download -q -o APT::Sandbox::User=root " + name, "dpkg-deb --extract *.deb files"} {
		command := exec.CommandContext(ctx, "sh", "-c", line)
		command.Dir = download
		if out, err := command.CombinedOutput(); err != nil {
			return "", fmt.Errorf("unpacking Debian's %s: %s: %w: %s", name, line, err, out)
		}
	}
	return filepath.Join(download, "files"), nil
}
