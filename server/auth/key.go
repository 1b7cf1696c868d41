package auth

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
)

// Key signs the registry's access tokens and nothing else. The zero Key is unusable.
type Key struct {
	id      string
	private ed25519.PrivateKey
}

const pemType = "PRIVATE KEY"

// NewKey makes an Ed25519 key from 32 bytes of rand. The caller persists [Key.Bytes].
func NewKey(rand io.Reader) (Key, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(rand, seed); err != nil {
		return Key{}, fmt.Errorf("make a token key: %w", err)
	}
	return keyOf(ed25519.NewKeyFromSeed(seed))
}

// ParseKey reads what [Key.Bytes] wrote: one PEM block of PKCS #8 with an Ed25519 key.
func ParseKey(b []byte) (Key, error) {
	block, rest := pem.Decode(b)
	if block == nil || block.Type != pemType || len(rest) != 0 {
		return Key{}, errors.New("the token key is not one PEM block of type PRIVATE KEY")
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return Key{}, errors.New("the token key is not PKCS #8") // the cause could quote the bytes
	}
	private, ok := k.(ed25519.PrivateKey)
	if !ok {
		return Key{}, fmt.Errorf("the token key is a %T, not an Ed25519 key", k)
	}
	return keyOf(private)
}

func keyOf(private ed25519.PrivateKey) (Key, error) {
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		return Key{}, fmt.Errorf("encode the token key: %w", err)
	}
	sum := sha256.Sum256(der)
	return Key{id: hex.EncodeToString(sum[:16]), private: private}, nil
}

// Bytes is the key in PEM, for a file that only the registry reads.
func (k Key) Bytes() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return nil, fmt.Errorf("encode the token key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), nil
}

// ID names the key: the first 16 bytes of SHA-256 over its DER SubjectPublicKeyInfo, in hexadecimal.
func (k Key) ID() string { return k.id }

// String keeps the key out of logs.
func (k Key) String() string { return "token key " + k.id }

// GoString keeps the key out of logs.
func (k Key) GoString() string { return k.String() }
