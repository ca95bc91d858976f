package site

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
)

// Stage delivers the service to staging, so that there is a verified image for production.
func (s *Site) Stage(ctx context.Context) error {
	if _, err := s.Service.Commit(ctx, "A release"); err != nil {
		return err
	}
	if err := s.Service.Push(ctx, "Staging"); err != nil {
		return err
	}
	run, err := s.Run(ctx, Pipeline{Jenkinsfile: "Jenkinsfile"})
	if err == nil && run.Result() != "SUCCESS" {
		err = fmt.Errorf("the staging run before the tests failed:\n%s", run.Console)
	}
	return err
}

// AskRegistry sends one request to the site's registry, as its login that may push, and gives
// the answer's body. A status of 300 and more is an error.
func (s *Site) AskRegistry(ctx context.Context, method, path, mediaType string, body []byte) ([]byte, error) {
	authority, err := os.ReadFile(os.Getenv("LAB_CA"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		return nil, errors.New("LAB_CA holds no certificate")
	}
	request, err := http.NewRequestWithContext(ctx, method, "https://"+s.Registry+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.SetBasicAuth(os.Getenv("LAB_REGISTRY_USER"), os.Getenv("LAB_REGISTRY_PASSWORD"))
	if mediaType != "" {
		request.Header.Set("Content-Type", mediaType)
		request.Header.Set("Accept", mediaType)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= 300 {
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, response.Status, answer)
	}
	return answer, nil
}
