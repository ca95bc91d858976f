package registry

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// PrivateKey signs statements, PublicKey checks them: ECDSA on P-256 over SHA-256, what
// cosign generate-key-pair makes. For other curves cosign 2 and 3 take different hashes, and cosign 3
// cannot use Ed25519 keys at all. While a key is replaced, two are good.
type (
	PrivateKey struct {
		key         *ecdsa.PrivateKey
		fingerprint string
	}
	PublicKey struct{ keys []accepted }
	accepted  struct {
		key         *ecdsa.PublicKey
		fingerprint string
	}
)

// fingerprintOf names a key by the SHA-256 of its public half in DER, as openssl pkey -pubin -outform DER writes it.
func fingerprintOf(key any) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	return fmt.Sprintf("sha256:%x", sha256.Sum256(der)), err
}

// ReadPrivateKey reads a PEM file: cosign's own encrypted form, whose password is
// in COSIGN_PASSWORD as for cosign itself, or PKCS #8.
func ReadPrivateKey(file string) (*PrivateKey, error) {
	block, err := readPEM(file)
	if err != nil {
		return nil, err
	}
	der := block.Bytes
	if strings.HasPrefix(block.Type, "ENCRYPTED ") && strings.HasSuffix(block.Type, " PRIVATE KEY") {
		password, set := os.LookupEnv("COSIGN_PASSWORD")
		if !set {
			return nil, slipway.Usagef("the key %s is encrypted, and COSIGN_PASSWORD is not set", file)
		}
		if der, err = encrypted.Decrypt(block.Bytes, []byte(password)); err != nil {
			return nil, slipway.Usagef("the password in COSIGN_PASSWORD does not open the key %s", file)
		}
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		if parsed, err = x509.ParseECPrivateKey(der); err != nil {
			return nil, slipway.Usagef("%s holds no private key in PKCS #8", file)
		}
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, noKey(file)
	}
	fingerprint, err := fingerprintOf(key.Public())
	return &PrivateKey{key, fingerprint}, err
}

func noKey(file string) error {
	return slipway.Usagef("the key %s is no ECDSA key on P-256: others do not verify with both cosign 2 and 3", file).
		Next("make one: cosign generate-key-pair")
}

// Fingerprint names the key.
func (k *PrivateKey) Fingerprint() string { return k.fingerprint }

// ReadPublicKey reads PEM files such as cosign.pub.
func ReadPublicKey(files ...string) (*PublicKey, error) {
	var read PublicKey
	for _, file := range files {
		block, err := readPEM(file)
		if err != nil {
			return nil, err
		}
		if strings.Contains(block.Type, "PRIVATE") {
			return nil, slipway.Usagef("%s is the private key; to verify, the public one is needed (cosign.pub)", file)
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, slipway.Usagef("%s holds no public key", file).Because(err)
		}
		key, ok := parsed.(*ecdsa.PublicKey)
		if !ok || key.Curve != elliptic.P256() {
			return nil, noKey(file)
		}
		fingerprint, err := fingerprintOf(key)
		if err != nil {
			return nil, err
		}
		read.keys = append(read.keys, accepted{key, fingerprint})
	}
	return &read, nil
}

func readPEM(file string) (*pem.Block, error) {
	body, err := readKey(file)
	if err != nil {
		return nil, slipway.Usagef("the key cannot be read").Because(err)
	}
	block, _ := pem.Decode(body)
	if block == nil {
		return nil, slipway.Usagef("%s holds no key in PEM", file)
	}
	return block, nil
}

// readKey reads a file, or with cosign's notation env://NAME a variable, which may hold the file in base64: where a secret
// is typed into a field of one line, a file of several is lost.
func readKey(file string) ([]byte, error) {
	name, variable := strings.CutPrefix(file, "env://")
	if !variable {
		return os.ReadFile(file)
	}
	text := strings.TrimSpace(os.Getenv(name))
	if text == "" {
		return nil, fmt.Errorf("the variable %s is empty", name)
	}
	if decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), "")); err == nil {
		return decoded, nil
	}
	return []byte(text), nil
}

// Sign signs the body.
func (k *PrivateKey) Sign(body []byte) ([]byte, error) {
	hash := sha256.Sum256(body)
	return ecdsa.SignASN1(rand.Reader, k.key, hash[:])
}

// Verify gives the fingerprint of the key that signed the body, which is one of these. Of what another one
// signed, named is the fingerprint that the signature claims, or empty.
func (k *PublicKey) Verify(body, signature []byte, named string) (fingerprint string, err error) {
	hash := sha256.Sum256(body)
	var known []string
	for _, one := range k.keys {
		if ecdsa.VerifyASN1(one.key, hash[:], signature) {
			return one.fingerprint, nil
		}
		known = append(known, one.fingerprint)
	}
	text := "it is not signed by this key, " + strings.Join(known, "")
	if len(known) > 1 {
		text = "it is not signed by one of these keys, " + strings.Join(known, ", ")
	}
	switch {
	case slices.Contains(known, named):
		text = "its signature does not match what is signed, though it names the key " + named
	case digestForm.MatchString(named):
		text += ", but names the key " + named
	}
	return "", errors.New(text)
}
