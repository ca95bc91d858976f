package site

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"slipway.dev/slipway/tests/lab/nexus"
)

// The one account of a front.
const (
	Username = "jenkins"
	Password = "correct horse"
)

// Front is the Nexus front before a registry, with HTTPS and a login.
type Front struct {
	*nexus.Front
	Host   string
	CA     string // the file with the authority that signed its certificate
	server *httptest.Server
}

// NewFront starts one. Its files go into the folder.
func NewFront(upstream *url.URL, folder string) (*Front, error) {
	f := &Front{Front: nexus.New(upstream, Username, Password), CA: filepath.Join(folder, "ca.crt")}
	certificate, authority, err := newCertificate()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(f.CA, authority, 0o600); err != nil {
		return nil, err
	}
	f.server = httptest.NewUnstartedServer(f.Front)
	f.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	f.server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	f.server.StartTLS()
	f.Host = strings.TrimPrefix(f.server.URL, "https://")
	return f, nil
}

// Close stops the front, also where a client still waits for it.
func (f *Front) Close() {
	f.server.CloseClientConnections()
	f.server.Close()
}

// DockerConfig is a config.json of Docker's with the login for a registry.
func DockerConfig(host, password string) []byte {
	return fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, host, base64.StdEncoding.EncodeToString([]byte(Username+":"+password)))
}

func newCertificate() (tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "site"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter:    time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}
