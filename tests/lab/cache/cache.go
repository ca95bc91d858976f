// Package cache is the one folder in which the lab keeps what it builds and downloads.
package cache

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// Dir is the cache's folder, ${XDG_CACHE_HOME:-~/.cache}/slipway-lab.
func Dir() (string, error) {
	base := os.Getenv("XDG_CACHE_HOME")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("finding the cache: %w", err)
		}
		base = filepath.Join(home, ".cache")
	}
	return filepath.Join(base, "slipway-lab"), nil
}

// Lock waits until no other process holds the lock file at path, which the
// kernel lets go of when its holder ends, however it ends. A holder may remove
// the file as the last that it does.
func Lock(path string) (unlock func(), err error) {
	unlock, _, err = lock(path, unix.LOCK_EX)
	return unlock, err
}

// TryLock is Lock that does not wait; held is false where another process has it.
func TryLock(path string) (unlock func(), held bool, err error) {
	return lock(path, unix.LOCK_EX|unix.LOCK_NB)
}

func lock(path string, how int) (unlock func(), held bool, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, false, err
	}
	for {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o644)
		if err != nil {
			return nil, false, err
		}
		err = unix.Flock(int(file.Fd()), how)
		if err == unix.EWOULDBLOCK {
			file.Close()
			return nil, false, nil
		}
		if err != nil {
			file.Close()
			return nil, false, fmt.Errorf("locking %s: %w", path, err)
		}
		if isAt(path, file) {
			return func() { file.Close() }, true, nil
		}
		file.Close() // removed by its holder meanwhile: it keeps nobody out any more
	}
}

// isAt says whether file is still the one that others find at path.
func isAt(path string, file *os.File) bool {
	own, err := file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(own, there)
}

// Fill makes the folder dir by fill, which gets a folder beside it; dir exists
// only once it is whole. A folder that is there already is left alone.
func Fill(dir string, fill func(unfinished string) error) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	unlock, err := Lock(dir + ".lock")
	if err != nil {
		return err
	}
	defer unlock()
	defer os.Remove(dir + ".lock")
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	unfinished := dir + ".unfinished"
	if err := os.RemoveAll(unfinished); err != nil {
		return err
	}
	if err := os.MkdirAll(unfinished, 0o755); err != nil {
		return err
	}
	if err := fill(unfinished); err != nil {
		return err
	}
	return os.Rename(unfinished, dir)
}

// Keep removes all but the newest of the folders that Fill made in parent.
func Keep(parent string, newest int) error {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return err
	}
	var whole []os.FileInfo
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !entry.IsDir() || filepath.Ext(entry.Name()) == ".unfinished" {
			continue // gone meanwhile, a lock, or being filled
		}
		whole = append(whole, info)
	}
	slices.SortFunc(whole, func(a, b os.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	for _, old := range whole[min(newest, len(whole)):] {
		if err := os.RemoveAll(filepath.Join(parent, old.Name())); err != nil {
			return err
		}
	}
	return nil
}
