package verify

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"

	"github.com/assay-registry/assay/store"
)

// The RSA keys that are taken. Strangers choose the keys of the certificates that they attach, and the work of a signature grows with the length of the key and of its
// exponent: with the greatest that the standard library takes, an 8192-bit key takes eight times as long as with the usual one.
const (
	minRSA      = 2048  // bits
	MaxRSA      = 8192  // bits
	MaxExponent = 65537 // public; greater ones are not in use
)

// ParseKeyPEM reads exactly one PEM block "PUBLIC KEY" (SubjectPublicKeyInfo, RFC 7468 section 13) of at most MaxKeyPEM bytes: ECDSA over P-256, P-384 or P-521,
// Ed25519, or RSA of 2048 to 8192 bits. The key comes back in normal form, with its ID and without a window. Errors: CodeInvalid, and
// none of them repeats a byte of the input, which may be a private key given by mistake.
func ParseKeyPEM(b []byte) (Key, error) {
	if len(b) > MaxKeyPEM {
		return Key{}, store.Errorf(store.CodeInvalid, "the key file has more than %d KiB; give one public key in PEM", MaxKeyPEM>>10)
	}
	trimmed := bytes.TrimSpace(b)
	if len(trimmed) == 0 {
		return Key{}, store.Errorf(store.CodeInvalid, "the key is empty; give one public key in PEM, such as cosign.pub")
	}
	if !bytes.HasPrefix(trimmed, []byte("-----BEGIN ")) {
		return Key{}, store.Errorf(store.CodeInvalid, "the key is not PEM; it begins with -----BEGIN PUBLIC KEY-----")
	}
	block, rest := pem.Decode(trimmed)
	if block == nil {
		return Key{}, store.Errorf(store.CodeInvalid, "the key is not well-formed PEM; give the file as cosign or openssl wrote it")
	}
	if err := checkBlock(block); err != nil {
		return Key{}, err
	}
	if len(bytes.TrimSpace(rest)) != 0 {
		return Key{}, store.Errorf(store.CodeInvalid, "there is something after the first key; give one public key per file")
	}
	pub, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return Key{}, store.Errorf(store.CodeInvalid, "the key is no public key that the registry knows; use ECDSA (P-256, P-384, P-521), Ed25519 or RSA")
	}
	return newKey(pub)
}

// checkBlock says what was given instead of a public key.
func checkBlock(block *pem.Block) error {
	switch {
	case len(block.Headers) != 0:
		return store.Errorf(store.CodeInvalid, "the key has PEM headers; give a plain public key")
	case block.Type == "PUBLIC KEY":
		return nil
	case bytes.HasSuffix([]byte(block.Type), []byte("PRIVATE KEY")):
		return store.Errorf(store.CodeInvalid, "this is a private key and stays with the signer; give its public key (cosign public-key --key)")
	case block.Type == "CERTIFICATE":
		return store.Errorf(store.CodeInvalid, "this is a certificate; give its public key (openssl x509 -pubkey -noout)")
	case block.Type == "RSA PUBLIC KEY":
		return store.Errorf(store.CodeInvalid, "this is a key in PKCS #1 form; convert it (openssl rsa -RSAPublicKey_in -pubout)")
	}
	return store.Errorf(store.CodeInvalid, "the PEM block is no public key; it begins with -----BEGIN PUBLIC KEY-----")
}

// newKey checks the strength of a key and puts it into normal form: the same key has the same ID however it was encoded.
func newKey(pub crypto.PublicKey) (Key, error) {
	if err := checkStrength(pub); err != nil {
		return Key{}, err
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return Key{}, store.Errorf(store.CodeInvalid, "the key cannot be written as SubjectPublicKeyInfo: %w", err)
	}
	return Key{ID: keyID(der), PEM: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}, nil
}

func checkStrength(pub crypto.PublicKey) error {
	switch k := pub.(type) {
	case ed25519.PublicKey:
		return nil
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return nil
		}
		return store.Errorf(store.CodeInvalid, "an ECDSA key is over P-256, P-384 or P-521, and this one is not; make another key")
	case *rsa.PublicKey:
		switch bits := k.N.BitLen(); {
		case bits < minRSA:
			return store.Errorf(store.CodeInvalid, "the RSA key has %d bits, which is too weak; use one of at least %d bits", bits, minRSA)
		case bits > MaxRSA:
			return store.Errorf(store.CodeInvalid, "the RSA key has %d bits; use one of at most %d bits", bits, MaxRSA)
		case k.E > MaxExponent:
			return store.Errorf(store.CodeInvalid, "the RSA key has the public exponent %d; use one of at most %d", k.E, MaxExponent)
		case k.E < 3 || k.E&1 == 0 || k.N.Bit(0) == 0:
			return store.Errorf(store.CodeInvalid, "the RSA key is not well-formed; make another key")
		}
		return nil
	}
	return store.Errorf(store.CodeInvalid, "the key is of a type that the registry does not know; use ECDSA (P-256, P-384, P-521), Ed25519 or RSA")
}

func keyID(der []byte) string {
	sum := sha256.Sum256(der)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// KeyID is "sha256:<64 hex>" over the key's DER SubjectPublicKeyInfo: what cosign's own fingerprint is over. Errors: CodeInvalid, as [ParseKeyPEM].
func KeyID(pub crypto.PublicKey) (string, error) {
	k, err := newKey(pub)
	return k.ID, err
}

// Public parses k.PEM again: an *ecdsa.PublicKey, an ed25519.PublicKey or an *rsa.PublicKey. Errors: CodeInvalid, also when k.ID is not the ID of that key.
func (k Key) Public() (crypto.PublicKey, error) {
	parsed, err := ParseKeyPEM([]byte(k.PEM))
	if err != nil {
		return nil, err
	}
	if k.ID != parsed.ID {
		return nil, store.Errorf(store.CodeInvalid, "the key's ID is not that of its PEM, which is %s", parsed.ID)
	}
	block, _ := pem.Decode([]byte(parsed.PEM))
	pub, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, store.Errorf(store.CodeInvalid, "the key cannot be read: %w", err)
	}
	return pub, nil
}
