package signer

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"io"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// The PEM types of private keys: cosign's encrypted form (scrypt and NaCl secretbox around PKCS #8), and plain PKCS #8, SEC 1 and PKCS #1.
const (
	pemSigstore = "ENCRYPTED SIGSTORE PRIVATE KEY"
	pemCosign   = "ENCRYPTED COSIGN PRIVATE KEY"
	pemPKCS8    = "PRIVATE KEY"
	pemSEC1     = "EC PRIVATE KEY"
	pemPKCS1    = "RSA PRIVATE KEY"
)

// Key is a private key that signs.
type Key struct {
	verify.Key // the public half, with its ID
	private    crypto.Signer
	rand       io.Reader
}

// Generate makes an ECDSA key over P-256 and returns it as cosign keeps keys: the private half encrypted with the password (an empty one is
// no protection), the public half as SubjectPublicKeyInfo in PEM.
func Generate(rand io.Reader, password []byte) (private, public []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	box, err := encrypted.Encrypt(der, password)
	if err != nil {
		return nil, nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemSigstore, Bytes: box}), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}), nil
}

// Encrypted reports whether a key file asks for a password.
func Encrypted(text []byte) bool {
	block, _ := pem.Decode(text)
	return block != nil && (block.Type == pemSigstore || block.Type == pemCosign)
}

// Parse reads a private key of at most verify.MaxKeyPEM bytes: ECDSA, Ed25519 or RSA, of the strength that the registry takes, encrypted as
// cosign does or plain. Errors: CodeInvalid; none repeats a byte of the input.
func Parse(rand io.Reader, text, password []byte) (*Key, error) {
	if len(text) > verify.MaxKeyPEM {
		return nil, store.Errorf(store.CodeInvalid, "the key file has more than %d KiB; give a private key in PEM, such as cosign.key", verify.MaxKeyPEM>>10)
	}
	block, rest := pem.Decode(text)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return nil, store.Errorf(store.CodeInvalid, "the key file is not one private key in PEM; make one with assay key new or cosign generate-key-pair")
	}
	private, err := parseBlock(block, password)
	if err != nil {
		return nil, err
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, store.Errorf(store.CodeInvalid, "the key cannot sign; use ECDSA, Ed25519 or RSA")
	}
	spki, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		return nil, store.Errorf(store.CodeInvalid, "the key is of a type that the registry does not know; use ECDSA (P-256, P-384, P-521), Ed25519 or RSA")
	}
	public, err := verify.ParseKeyPEM(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}))
	if err != nil {
		return nil, err
	}
	return &Key{Key: public, private: signer, rand: rand}, nil
}

func parseBlock(block *pem.Block, password []byte) (any, error) {
	var private any
	var err error
	switch block.Type {
	case pemSigstore, pemCosign:
		der, boxErr := encrypted.Decrypt(block.Bytes, password)
		if boxErr != nil {
			return nil, store.Errorf(store.CodeInvalid, "the key cannot be decrypted: the password is not the right one, or the file is damaged")
		}
		private, err = x509.ParsePKCS8PrivateKey(der)
	case pemPKCS8:
		private, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case pemSEC1:
		private, err = x509.ParseECPrivateKey(block.Bytes)
	case pemPKCS1:
		private, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "PUBLIC KEY":
		return nil, store.Errorf(store.CodeInvalid, "this is the public key; sign with the private one, such as cosign.key")
	default:
		kind := block.Type
		if len(kind) > 40 || strings.ContainsFunc(kind, func(r rune) bool { return r < ' ' || r > '~' }) {
			kind = "something else"
		}
		return nil, store.Errorf(store.CodeInvalid, "the PEM block is %s; give a private key (%s or %s)", kind, pemSigstore, pemPKCS8)
	}
	if err != nil {
		return nil, store.Errorf(store.CodeInvalid, "the private key is damaged or of a type that the registry does not know; use ECDSA, Ed25519 or RSA")
	}
	return private, nil
}

// SignMessage signs bytes that another format lays out, such as TUF metadata: as they are, without any envelope.
func (k *Key) SignMessage(message []byte) ([]byte, error) { return k.sign(message) }

// sign signs a message as cosign does with a key of the type: ECDSA and RSA (PKCS #1 v1.5) over SHA-256, Ed25519 in its pure form.
func (k *Key) sign(message []byte) ([]byte, error) {
	switch k.private.Public().(type) {
	case ed25519.PublicKey:
		return k.private.Sign(nil, message, crypto.Hash(0))
	case *ecdsa.PublicKey, *rsa.PublicKey:
		sum := sha256.Sum256(message)
		return k.private.Sign(k.rand, sum[:], crypto.SHA256)
	}
	return nil, store.Errorf(store.CodeInvalid, "the key is of a type that cannot sign here")
}
