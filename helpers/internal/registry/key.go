package registry

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// PrivateKey signs statements, PublicKey checks them: ECDSA on P-256 over SHA-256, what
// cosign generate-key-pair makes. For other curves cosign 2 and 3 take different hashes. While a key is replaced, two are good.
type (
	PrivateKey struct{ key *ecdsa.PrivateKey }
	PublicKey  struct{ keys []*ecdsa.PublicKey }
)

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
		return nil, slipway.Usagef("the key %s is no ECDSA key on P-256, such as cosign generate-key-pair makes", file)
	}
	return &PrivateKey{key}, nil
}

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
			return nil, slipway.Usagef("the key %s is no ECDSA key on P-256, such as cosign generate-key-pair makes", file)
		}
		read.keys = append(read.keys, key)
	}
	return &read, nil
}

func readPEM(file string) (*pem.Block, error) {
	body, err := os.ReadFile(file)
	if err != nil {
		return nil, slipway.Usagef("the key cannot be read").Because(err)
	}
	block, _ := pem.Decode(body)
	if block == nil {
		return nil, slipway.Usagef("%s holds no key in PEM", file)
	}
	return block, nil
}

// Sign signs the body.
func (k *PrivateKey) Sign(body []byte) ([]byte, error) {
	hash := sha256.Sum256(body)
	return ecdsa.SignASN1(rand.Reader, k.key, hash[:])
}

// Verify says whether the body is signed by one of the keys.
func (k *PublicKey) Verify(body, signature []byte) error {
	hash := sha256.Sum256(body)
	for _, key := range k.keys {
		if ecdsa.VerifyASN1(key, hash[:], signature) {
			return nil
		}
	}
	return errors.New("it is not signed by this key")
}
