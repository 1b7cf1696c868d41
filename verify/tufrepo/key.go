package tufrepo

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"io"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/assay-registry/assay/verify"
)

// Key is one key of a role. Sign is nil where only the public half is known; else it signs a message: Ed25519 in its pure form, ECDSA over SHA-256 in ASN.1.
type Key struct {
	ID   string // as TUF names keys: the hex SHA-256 of the key's canonical JSON
	Sign func(message []byte) ([]byte, error)

	tuf   *metadata.Key
	print string // of the public key alone, however a repository names it
}

// NewKey takes a public key as [verify.ParseKeyPEM] read it, and what signs with it, if anything does. Errors: CodeInvalid for a key that TUF clients do not
// verify alike: it is Ed25519 or ECDSA over P-256.
func NewKey(public verify.Key, sign func([]byte) ([]byte, error)) (*Key, error) {
	pub, err := public.Public()
	if err != nil {
		return nil, err
	}
	switch k := pub.(type) {
	case ed25519.PublicKey:
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return nil, invalid("a key of TUF metadata is Ed25519 or ECDSA over P-256, and this one is over %s; make another with assay tuf key", k.Params().Name)
		}
	default:
		return nil, invalid("a key of TUF metadata is Ed25519 or ECDSA over P-256, and this one is neither; make another with assay tuf key")
	}
	key, err := metadata.KeyFromPublicKey(pub)
	if err != nil {
		return nil, invalid("the key cannot be written into TUF metadata: %w", err)
	}
	id, err := key.ID()
	if err != nil {
		return nil, invalid("the key cannot be written into TUF metadata: %w", err)
	}
	return &Key{ID: id, Sign: sign, tuf: key, print: public.ID}, nil
}

// fingerprint names a key of any repository by its public half. Errors: CodeInvalid for what is no key.
func fingerprint(k *metadata.Key) (string, error) {
	if k == nil {
		return "", invalid("the metadata has a key that is null")
	}
	pub, err := k.ToPublicKey()
	if err != nil {
		return "", invalid("the metadata has a key of type %q that cannot be read", k.Type)
	}
	if e, ok := pub.(ed25519.PublicKey); ok && len(e) != ed25519.PublicKeySize {
		return "", invalid("the metadata has an Ed25519 key of %d bytes", len(e))
	}
	return verify.KeyID(pub)
}

// The kinds of keys that Generate makes.
const (
	KindEd25519 = "ed25519"
	KindP256    = "ecdsa-p256"
)

// Generate makes a key pair in PEM: the private half in PKCS #8, with a password in the encrypted form that cosign reads (scrypt and NaCl secretbox), the public
// half as SubjectPublicKeyInfo. Errors: CodeInvalid for another kind.
func Generate(rand io.Reader, kind string, password []byte) (private, public []byte, err error) {
	var key crypto.Signer
	switch kind {
	case KindEd25519:
		seed := make([]byte, ed25519.SeedSize)
		if _, err := io.ReadFull(rand, seed); err != nil {
			return nil, nil, err
		}
		key = ed25519.NewKeyFromSeed(seed)
	case KindP256:
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand); err != nil {
			return nil, nil, err
		}
	default:
		return nil, nil, invalid("%q is no kind of key; use %s or %s", kind, KindEd25519, KindP256)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	block := &pem.Block{Type: "PRIVATE KEY", Bytes: der}
	if len(password) > 0 {
		block.Type = "ENCRYPTED SIGSTORE PRIVATE KEY"
		if block.Bytes, err = encrypted.Encrypt(der, password); err != nil {
			return nil, nil, err
		}
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(block), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}), nil
}
