package migrate

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestAKilledRehearsalLeavesNoServer: the process that started it is killed.
func TestAKilledRehearsalLeavesNoServer(t *testing.T) {
	if os.Getenv("REHEARSAL_SERVER") != "" { // that process
		server := localServer{dir: os.Getenv("REHEARSAL_SERVER"), programs: "/usr/lib/postgresql/15/bin"}
		require.NoError(t, server.start(t.Context()))
		fmt.Println("started")
		select {}
	}
	dir, err := os.MkdirTemp("", "killed")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	process := exec.Command(os.Args[0], "-test.run", "^TestAKilledRehearsalLeavesNoServer$")
	process.Env = append(os.Environ(), "REHEARSAL_SERVER="+dir)
	out, err := process.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, process.Start())
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "started" {
	}
	require.Equal(t, "started", lines.Text())
	body, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
	require.NoError(t, err)
	postmaster, err := strconv.Atoi(strings.Fields(string(body))[0])
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(postmaster, 0), "it runs")

	require.NoError(t, process.Process.Kill())
	_ = process.Wait()
	assert.Eventually(t, func() bool {
		_, err := os.Stat(dir)
		return os.IsNotExist(err) && syscall.Kill(postmaster, 0) == syscall.ESRCH
	}, time.Minute, 50*time.Millisecond, "the server and its folder are gone")
}
