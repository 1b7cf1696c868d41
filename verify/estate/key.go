package estate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"io"
)

// key is a P-256 key that follows from its seed and signs the same bytes alike each time (RFC 6979).
type key struct {
	private *ecdsa.PrivateKey
	spki    []byte   // SubjectPublicKeyInfo
	id      [32]byte // SHA-256 of spki
}

var _ crypto.Signer = (*key)(nil)

func newKey(seed string) *key {
	raw := sha256.Sum256([]byte("estate/" + seed))
	raw[0] &= 0x7f // below the order of the curve
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw[:])
	must(err)
	spki, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	must(err)
	return &key{private: private, spki: spki, id: sha256.Sum256(spki)}
}

// Public is [crypto.Signer].
func (k *key) Public() crypto.PublicKey { return &k.private.PublicKey }

// Sign is [crypto.Signer] without randomness.
func (k *key) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return k.private.Sign(nil, digest, opts)
}

// sign signs the SHA-256 of a message.
func (k *key) sign(message []byte) []byte {
	sum := sha256.Sum256(message)
	sig, err := k.Sign(nil, sum[:], crypto.SHA256)
	must(err)
	return sig
}

func (k *key) publicPEM() string { return pemOf("PUBLIC KEY", k.spki) }
