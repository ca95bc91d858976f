package cache

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

func TestAFolderIsThereWholeOrNotAtAll(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "parts", "a")
	broken := errors.New("broken")
	assert.ErrorIs(t, Fill(dir, func(unfinished string) error {
		require.NoError(t, os.WriteFile(filepath.Join(unfinished, "half"), nil, 0o600))
		return broken
	}), broken)
	assert.NoDirExists(t, dir)

	require.NoError(t, Fill(dir, func(unfinished string) error {
		assert.NoFileExists(t, filepath.Join(unfinished, "half"), "what was half done is begun anew")
		return os.WriteFile(filepath.Join(unfinished, "whole"), nil, 0o600)
	}))
	assert.FileExists(t, filepath.Join(dir, "whole"))
	require.NoError(t, Fill(dir, func(string) error { return broken }), "it is there already")
}

func TestALockThatItsHolderRemovesIsStillHeldByOneAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run.lock")
	var holders atomic.Int32
	var group errgroup.Group
	for range 8 {
		group.Go(func() error {
			for range 200 {
				unlock, err := Lock(path)
				if err != nil {
					return err
				}
				if n := holders.Add(1); n != 1 {
					return fmt.Errorf("%d hold it", n)
				}
				holders.Add(-1)
				if err := os.Remove(path); err != nil {
					return err
				}
				unlock()
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
}

func TestOnlyTheNewestFoldersAreKept(t *testing.T) {
	parent := t.TempDir()
	for age, name := range []string{"newest", "newer", "old", "oldest", "filling.unfinished"} {
		require.NoError(t, os.Mkdir(filepath.Join(parent, name), 0o755))
		then := time.Now().Add(-time.Duration(age) * time.Hour)
		require.NoError(t, os.Chtimes(filepath.Join(parent, name), then, then))
	}
	require.NoError(t, os.WriteFile(filepath.Join(parent, "old.lock"), nil, 0o600))
	require.NoError(t, Keep(parent, 2))
	entries, err := os.ReadDir(parent)
	require.NoError(t, err)
	var left []string
	for _, entry := range entries {
		left = append(left, entry.Name())
	}
	assert.Equal(t, []string{"filling.unfinished", "newer", "newest", "old.lock"}, left)
	require.NoError(t, Keep(parent, 9))
}
