package progress

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestWhatTakesLongSaysSoUntilItIsDone(t *testing.T) {
	lines, log := io.Pipe()
	done := report(log, "lab: building etcd", time.Millisecond, time.Millisecond)
	line := make([]byte, 100)
	for range 2 {
		n, err := lines.Read(line)
		assert.NoError(t, err)
		assert.Equal(t, "lab: building etcd: at work for 0s\n", string(line[:n]))
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	done()
	assert.NoError(t, log.Close())
}

func TestWhatIsDoneAtOnceSaysNothing(t *testing.T) {
	report(nil, "lab: building etcd", time.Hour, time.Hour)()
}
