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
// kernel lets go of when its holder ends, however it ends.
func Lock(path string) (unlock func(), err error) {
	file, err := open(path)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		file.Close()
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return func() { file.Close() }, nil
}

// TryLock is Lock that does not wait; held is false where another process has it.
func TryLock(path string) (unlock func(), held bool, err error) {
	file, err := open(path)
	if err != nil {
		return nil, false, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		file.Close()
		if err == unix.EWOULDBLOCK {
			return nil, false, nil
		}
		return nil, false, fmt.Errorf("locking %s: %w", path, err)
	}
	return func() { file.Close() }, true, nil
}

func open(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o644)
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
