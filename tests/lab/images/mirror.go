package images

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// mirror is the registry of base images while it is filled, on loopback.
type mirror struct {
	address string
	command *exec.Cmd
	config  string
}

func openMirror(ctx context.Context, in Input) (*mirror, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	m := &mirror{address: listener.Addr().String()}
	listener.Close()
	config, err := os.CreateTemp("", "mirror-*.yaml")
	if err != nil {
		return nil, err
	}
	m.config = config.Name()
	fmt.Fprintf(config, "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %q}}\nhttp: {addr: %s}\n", in.dir("registry"), m.address)
	if err := config.Close(); err != nil {
		return nil, err
	}
	m.command = exec.CommandContext(ctx, in.Programs["registry"], "serve", m.config)
	if err := m.command.Start(); err != nil {
		return nil, fmt.Errorf("starting the registry of base images: %w", err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for ticker := time.NewTicker(20 * time.Millisecond); ; <-ticker.C {
		response, err := http.Get("http://" + m.address + "/v2/")
		if err == nil {
			response.Body.Close()
			return m, nil
		}
		if time.Now().After(deadline) {
			m.close()
			return nil, fmt.Errorf("the registry of base images does not answer: %w", err)
		}
	}
}

func (m *mirror) push(ctx context.Context, image string, made v1.Image) error {
	reference, err := name.ParseReference(m.address+"/"+image, name.Insecure)
	if err != nil {
		return err
	}
	if err := remote.Write(reference, made, remote.WithContext(ctx)); err != nil {
		return fmt.Errorf("putting %s into the registry of base images: %w", image, err)
	}
	return nil
}

func (m *mirror) close() {
	_ = m.command.Process.Kill()
	_ = m.command.Wait()
	os.Remove(m.config)
}
