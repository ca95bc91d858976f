package story

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

type shared struct {
	lock sync.Mutex
	text bytes.Buffer
}

func (s *shared) Write(text []byte) (int, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.text.Write(text)
}

func (s *shared) String() string {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.text.String()
}

func TestAReaderSeesStagesAndWhatWasSaid(t *testing.T) {
	out, clock := &shared{}, make(chan time.Time)
	r := newReadable(out, clock)
	for _, text := range []string{
		"[Pipeline] Start of Pipeline\n[Pipeline] stage\n[Pipeline] { (Validate Application)\n[Pipeline] sh\n+ python3 -m pytest\n", "10 passed",
		" in 1 s\n",
		"[Pipeline] }\n[Pipeline] // stage\n\nslipway-record: {\"version\":1}\n",
	} {
		_, err := r.Write([]byte(text))
		assert.NoError(t, err)
	}
	clock <- time.Now().Add(time.Second)
	clock <- time.Now().Add(7 * time.Second)
	assert.NoError(t, r.Close())
	assert.Equal(t, "\n  Validate Application\n    10 passed in 1 s\n  … Validate Application, 7 s\n", out.String())
}
