package migrate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// certificate writes a self-signed one for a host name, and gives its file.
func certificate(t *testing.T, s *server, host string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	require.NoError(t, err)
	secret, err := x509.MarshalECPrivateKey(key)
	require.NoError(t, err)
	body := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	require.NoError(t, os.WriteFile(filepath.Join(s.Data, "server.crt"), body, 0o644))
	name := filepath.Join(s.Data, "server.key")
	require.NoError(t, os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}), 0o600))
	require.NoError(t, s.Own(name))
	ca := filepath.Join(t.TempDir(), "ca.crt")
	require.NoError(t, os.WriteFile(ca, body, 0o644))
	return ca
}

// TestTLSAndWherePasswordsComeFrom uses a server that demands a password, once
// without and once with TLS.
func TestTLSAndWherePasswordsComeFrom(t *testing.T) {
	s := own(t, "fsync=off")
	const password = "s3cret-w0rd"
	admin := open(t, s.URL("postgres"))
	execute(t, admin, "CREATE ROLE app LOGIN PASSWORD '"+password+"'")
	require.NoError(t, os.WriteFile(filepath.Join(s.Data, "pg_hba.conf"),
		[]byte("host all postgres all trust\nhost all app all scram-sha-256\n"), 0o600))
	execute(t, admin, "SELECT pg_reload_conf()")
	t.Setenv("PGSSLMODE", "")
	os.Unsetenv("PGSSLMODE")
	plain := fmt.Sprintf("postgres://app@localhost:%d/postgres", s.Port)
	t.Setenv("PGPASSWORD", password)
	_, err := Connect(t.Context(), plain)
	require.ErrorContains(t, err, "does not speak TLS")
	open(t, plain+"?sslmode=disable").Close()

	ca := certificate(t, s, "localhost")
	execute(t, admin, "ALTER SYSTEM SET ssl = on")
	execute(t, admin, "SELECT pg_reload_conf()")
	require.Eventually(t, func() bool {
		database, err := Connect(t.Context(), plain)
		if err == nil {
			assert.Equal(t, "true", one(t, database, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))
			database.Close()
		}
		return err == nil
	}, 20*time.Second, 50*time.Millisecond, "TLS is demanded without being asked for")
	t.Setenv("PGSSLROOTCERT", ca)
	open(t, plain).Close()
	_, err = Connect(t.Context(), fmt.Sprintf("postgres://app@127.0.0.1:%d/postgres", s.Port))
	require.Error(t, err, "with a CA the server's name is verified")
	t.Setenv("PGSSLROOTCERT", certificate(t, own(t, "fsync=off"), "localhost"))
	_, err = Connect(t.Context(), plain)
	require.Error(t, err, "a CA that has not signed it")
	assert.NotContains(t, err.Error(), password)
	t.Setenv("PGSSLROOTCERT", ca)

	os.Unsetenv("PGPASSWORD")
	pass := filepath.Join(t.TempDir(), "pgpass")
	require.NoError(t, os.WriteFile(pass, []byte("localhost:*:*:app:"+password+"\n"), 0o600))
	_, err = Connect(t.Context(), plain)
	require.Error(t, err)
	t.Setenv("PGPASSFILE", pass)
	open(t, plain).Close()
	os.Unsetenv("PGPASSFILE")
	service := filepath.Join(t.TempDir(), "service")
	require.NoError(t, os.WriteFile(service,
		[]byte(fmt.Sprintf("[prod]\nhost=localhost\nport=%d\nuser=app\ndbname=postgres\npassword=%s\n", s.Port, password)), 0o600))
	t.Setenv("PGSERVICEFILE", service)
	t.Setenv("PGSERVICE", "prod")
	open(t, "").Close()
	t.Setenv("PGSERVICE", "nowhere")
	_, err = Connect(t.Context(), "")
	require.Error(t, err)
	assert.NotContains(t, err.Error(), password)
}

func TestNoDatabaseIsNamed(t *testing.T) {
	_, err := Connect(t.Context(), "")
	assert.ErrorContains(t, err, "no database is named")
	_, err = Connect(t.Context(), "postgres://u:s3cret-w0rd@h:port/x")
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "s3cret")
}
