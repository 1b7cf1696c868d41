package sbom

import (
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
)

// pemPrivate is the type of a PEM block that holds a PKCS #8 key (RFC 7468, section 10).
const pemPrivate = "PRIVATE KEY"

// NewKey generates the registry's sbom key, Ed25519 (its signatures are deterministic), and returns it with its PEM form (PKCS #8), which is
// to be stored where only the registry reads it.
func NewKey(random io.Reader) (crypto.Signer, []byte, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, nil, fmt.Errorf("no randomness for a key: %w", err)
	}
	key := ed25519.NewKeyFromSeed(seed)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: pemPrivate, Bytes: der}), nil
}

// ParseKey reads what NewKey wrote. Keys of other kinds are refused: their signatures differ from run to run.
func ParseKey(b []byte) (crypto.Signer, error) {
	block, rest := pem.Decode(b)
	if block == nil || block.Type != pemPrivate || len(rest) > 0 {
		return nil, errors.New("the sbom key is not one PEM block of type PRIVATE KEY")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the sbom key cannot be read: %w", err)
	}
	signer, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("the sbom key is no Ed25519 key; remove it and let the registry generate one")
	}
	return signer, nil
}
