package registry

// What a site's check asks a registry, beside what a release does.

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Greeting is what a registry shows before a login.
type Greeting struct {
	Expires time.Time // its certificate; zero over plain HTTP
	Now     time.Time // its clock, to the second; zero where it has no Date
}

// Greet asks the registry whether it is one. No login is sent.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#determining-support
func (c *Client) Greet(ctx context.Context, repository name.Repository) (Greeting, error) {
	s := &session{repository: repository, guard: &guard{}}
	doing := "greeting " + repository.RegistryStr()
	address := url.URL{Scheme: c.scheme, Host: repository.RegistryStr(), Path: "/v2/"}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return Greeting{}, err
	}
	response, err := c.wire.RoundTrip(request)
	if err != nil {
		return Greeting{}, s.explain(err, doing)
	}
	defer response.Body.Close()
	if err := transport.CheckError(response, http.StatusOK, http.StatusUnauthorized); err != nil {
		return Greeting{}, s.explain(err, doing)
	}
	if response.StatusCode == http.StatusUnauthorized && response.Header.Get("WWW-Authenticate") == "" {
		return Greeting{}, s.explain(fmt.Errorf("401 without WWW-Authenticate"), doing)
	}
	var greeting Greeting
	greeting.Now, _ = http.ParseTime(response.Header.Get("Date"))
	if response.TLS != nil && len(response.TLS.PeerCertificates) > 0 {
		greeting.Expires = response.TLS.PeerCertificates[0].NotAfter
	}
	return greeting, nil
}

// Login says as whom the registry knows this client.
func (c *Client) Login(ctx context.Context, repository name.Repository) (string, error) {
	s, err := c.open(ctx, repository, transport.PullScope)
	if err != nil {
		return "", err
	}
	address := url.URL{Scheme: c.scheme, Host: repository.RegistryStr(), Path: "/v2/"}
	response, err := s.send(ctx, http.MethodGet, &address, nil, nil, http.StatusOK)
	if err != nil {
		return s.who, s.explain(err, "logging in to "+repository.RegistryStr())
	}
	return s.who, response.Body.Close()
}

// MayPush opens an upload, and cancels it: nothing is left.
func (c *Client) MayPush(ctx context.Context, repository name.Repository) error {
	s, err := c.open(ctx, repository, transport.PushScope)
	if err != nil {
		return err
	}
	location, err := s.begin(ctx, v1.Hash{}, nil)
	if err != nil {
		return s.explain(err, "beginning a push to "+repository.String())
	}
	if location == nil {
		return nil
	}
	response, err := s.send(ctx, http.MethodDelete, location, nil, nil, http.StatusNoContent, http.StatusAccepted, http.StatusOK)
	if err == nil {
		_ = response.Body.Close()
	} // one that cannot be cancelled ends by itself
	return nil
}

// Pages reads all tags, and then one a page: a registry that has pages must go on where one ended.
func (c *Client) Pages(ctx context.Context, repository name.Repository) (tags int, err error) {
	s, err := c.open(ctx, repository, transport.PullScope)
	if err != nil {
		return 0, err
	}
	whole, _, err := s.tags(ctx, "")
	if err != nil || len(whole) < 2 {
		return len(whole), err
	}
	doing := "listing the tags of " + repository.String() + " one a page"
	first, _, err := s.page(ctx, "1", "")
	if err != nil {
		return len(whole), s.explain(err, doing)
	}
	if len(first) != 1 {
		return len(whole), nil // it has no pages: the first answer is the list
	}
	second, _, err := s.page(ctx, "1", first[0])
	switch {
	case err != nil:
		return len(whole), s.explain(err, doing)
	case len(second) == 0 || second[0] == first[0] || !slices.Contains(whole, second[0]):
		return len(whole), fmt.Errorf("%s: behind the tag %s it answers %q", doing, first[0], second)
	}
	return len(whole), nil
}

// KeepsReferrers says whether the registry has the referrers API.
func (c *Client) KeepsReferrers(ctx context.Context, repository name.Repository) (bool, error) {
	s, err := c.open(ctx, repository, transport.PullScope)
	if err != nil {
		return false, err
	}
	reader := &evidenceReader{session: s}
	nothing := v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%x", sha256.Sum256([]byte("slipway check")))}
	_, err = reader.referrers(ctx, nothing)
	return reader.keeps, s.explain(err, "asking "+repository.RegistryStr()+" for referrers")
}

// Trial is what became of a test artifact.
type Trial struct {
	Tag        string
	Pushed     error // and pulled again
	Evidence   error // attached and read again
	Redeployed bool  // the tag was moved to another artifact
	Deleted    bool  // the artifacts are gone again: this login may delete
}

// Try pushes an artifact of some bytes, reads it, attaches evidence, moves its tag and deletes it.
func (c *Client) Try(ctx context.Context, repository name.Repository) (Trial, error) {
	s, err := c.open(ctx, repository, transport.PushScope)
	if err != nil {
		return Trial{}, err
	}
	trial := Trial{Tag: fmt.Sprintf("slipway-check-%d", time.Now().UnixNano())}
	first, err := s.artifact(ctx, trial.Tag)
	if err == nil {
		var found *manifest
		if found, err = s.manifest(ctx, trial.Tag); err == nil && found.Digest != first {
			err = fmt.Errorf("the tag %s names %s, and %s was pushed", trial.Tag, found.Digest, first)
		}
	}
	if err != nil {
		trial.Pushed = s.explain(err, "pushing and pulling "+repository.String()+":"+trial.Tag)
		return trial, nil
	}
	trial.Evidence = c.attachTo(ctx, repository.Digest(first.String()))
	second, err := s.artifact(ctx, trial.Tag)
	trial.Redeployed = err == nil
	trial.Deleted = s.remove(ctx, first.String()) == nil
	if trial.Redeployed {
		_ = s.remove(ctx, second.String())
	}
	return trial, nil
}

// attachTo attaches a statement, and reads it.
func (c *Client) attachTo(ctx context.Context, digest name.Digest) error {
	folder, err := os.MkdirTemp("", "slipway-check")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, "statement.json")
	if err := os.WriteFile(file, []byte(`{"slipway":"check"}`), 0o600); err != nil {
		return err
	}
	added, err := c.AddEvidence(ctx, digest, Statement{Type: "slipway-check", File: file})
	if err != nil {
		return err
	}
	if _, err := c.Verify(ctx, digest, []string{"slipway-check"}, nil, 0); err != nil {
		return err
	}
	if s, err := c.open(ctx, digest.Context(), transport.PushScope); err == nil {
		_ = s.remove(ctx, added.Digest)
	}
	return nil
}

// artifact pushes a manifest of its own under the tag, with one random blob.
func (s *session) artifact(ctx context.Context, tag string) (v1.Hash, error) {
	layer, config := []byte(rand.Text()), []byte("{}")
	var described []v1.Descriptor
	for _, body := range [][]byte{config, layer} {
		digest := v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%x", sha256.Sum256(body))}
		if err := s.putBlob(ctx, digest, body); err != nil {
			return v1.Hash{}, err
		}
		described = append(described, v1.Descriptor{MediaType: "application/octet-stream", Digest: digest, Size: int64(len(body))})
	}
	described[0].MediaType = "application/vnd.oci.empty.v1+json"
	body, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": types.OCIManifestSchema1,
		"artifactType": "application/vnd.slipway.check", "config": described[0], "layers": described[1:]})
	if err != nil {
		return v1.Hash{}, err
	}
	digest, _, err := v1.SHA256(bytes.NewReader(body))
	if err != nil {
		return v1.Hash{}, err
	}
	_, err = s.putManifest(ctx, tag, types.OCIManifestSchema1, body)
	return digest, err
}

// remove deletes a manifest: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#deleting-manifests
func (s *session) remove(ctx context.Context, digest string) error {
	response, err := s.do(ctx, http.MethodDelete, "manifests/"+digest, nil, nil, nil, http.StatusAccepted, http.StatusOK, http.StatusNoContent)
	if err != nil {
		return err
	}
	return response.Body.Close()
}
