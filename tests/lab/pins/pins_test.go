package pins

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAPinHasTheNamesThatTheMirrorAndContainerdHaveForIt(t *testing.T) {
	for pin, names := range map[Pin][2]string{
		"postgres:15@sha256:ab":                       {"library/postgres:15", "docker.io/library/postgres@sha256:ab"},
		"jenkins/inbound-agent:1-jdk21@sha256:ab":     {"jenkins/inbound-agent:1-jdk21", "docker.io/jenkins/inbound-agent@sha256:ab"},
		"ghcr.io/aquasecurity/trivy:0.74.0@sha256:ab": {"aquasecurity/trivy:0.74.0", "ghcr.io/aquasecurity/trivy@sha256:ab"},
	} {
		assert.Equal(t, names, [2]string{pin.Mirrored(), pin.Resolved()}, pin)
	}
}
