package site

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"path/filepath"
)

// policy is production's: evidence counts where staging's key has signed it.
const policy = `production:
  evidence: {require: [scan, staging-verified], keys: [staging.pub], scanMaxAge: 7d}
`

// signing makes staging's key, and gives its public half to production with the policy that asks for it.
func (s *Site) signing(ctx context.Context) error {
	if !s.Signed {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	s.signingKey = base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	return s.object(ctx, Agents[2], map[string]any{"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": "slipway-policy"}, "data": map[string]any{"policy.yaml": policy,
			"staging.pub": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))}})
}

// configuration are the runner's options that name Jenkins' configuration.
func (s *Site) configuration() []string {
	files := []string{"docs/jenkins.yaml", "tests/e2e/site/folders.yaml"}
	if s.Signed {
		files = append(files, "tests/e2e/site/signing.yaml")
	}
	var options []string
	for _, file := range files {
		options = append(options, "--config", filepath.Join(s.Root, file))
	}
	return options
}
