package pipelines

import (
	"fmt"
	"path/filepath"
	"testing"
)

func TestDevOne(t *testing.T) {
	l := newLocal(t)
	p, err := l.play(t.Context(), filepath.Join("/tmp/i7/dev-home"), "Jenkinsfile.prod", nil, "--answer", "yes", "--at", "90=abort")
	fmt.Println(err, p.console)
}
