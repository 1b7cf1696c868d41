package place

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/server/auth"
	"github.com/assay-registry/assay/verify"
)

// Keyring is the registry's own keys. Each has one use, so that a statement of one kind can never pass for another: sbom signs generated
// SBOMs, verdict the summaries of admissions, log the audit log's checkpoints, token the access tokens. None ever speaks for an image.
type Keyring struct {
	Dir                string
	SBOM, Verdict, Log crypto.Signer
	Token              auth.Key
	Uses               map[string]string // by key ID, as verify names keys
	Public             map[string][]byte // in PEM, by use; of those that somebody else verifies with
}

// The file names below keys/.
const (
	KeySBOM    = "sbom"
	KeyVerdict = "verdict"
	KeyLog     = "log"
	KeyToken   = "token"
)

// OpenKeys reads the keys in dir and makes those that are missing, durably. The caller holds the lock of the data directory.
func OpenKeys(dir string, rand io.Reader) (*Keyring, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	ring := &Keyring{Dir: dir, Uses: map[string]string{}, Public: map[string][]byte{}}
	for _, name := range []string{KeySBOM, KeyVerdict, KeyLog, KeyToken} {
		text, err := ReadKey(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			text, err = makeKey(dir, name, rand)
		}
		if err != nil {
			return nil, err
		}
		if err := ring.add(dir, name, text); err != nil {
			return nil, fmt.Errorf("the registry's own key %s is damaged (%w); restore it from a backup", filepath.Join(dir, name), err)
		}
	}
	return ring, nil
}

// ReadKey refuses a key that others can read: it may have been copied.
func ReadKey(path string) ([]byte, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("the registry's own key %s has mode %s; it must be a file that only the server's user reads: chmod 600 %s", path, info.Mode(), path)
	}
	return os.ReadFile(path)
}

// makeKey makes a key. The packages that use it know how to make it.
func makeKey(dir, name string, rand io.Reader) (text []byte, err error) {
	switch name {
	case KeyToken:
		k, err := auth.NewKey(rand)
		if err != nil {
			return nil, err
		}
		if text, err = k.Bytes(); err != nil {
			return nil, err
		}
	case KeyVerdict:
		if text, err = NewVerdictKey(rand); err != nil {
			return nil, err
		}
	default:
		if _, text, err = sbom.NewKey(rand); err != nil {
			return nil, err
		}
	}
	return text, WriteDurably(filepath.Join(dir, name), text, 0o600)
}

// add parses a key, notes its ID, and keeps its public half beside it for whoever verifies.
func (r *Keyring) add(dir, name string, text []byte) error {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" || len(bytes.TrimSpace(rest)) != 0 {
		return errors.New("it is not one PEM block of type PRIVATE KEY")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return errors.New("it is not PKCS #8") // the cause could quote the key
	}
	signer, ok := parsed.(crypto.Signer)
	if !ok {
		return errors.New("it cannot sign")
	}
	id, err := verify.KeyID(signer.Public())
	if err != nil {
		return err
	}
	if use, taken := r.Uses[id]; taken {
		return fmt.Errorf("it is the same as the %s key, and each has its own", use)
	}
	r.Uses[id] = name
	switch name {
	case KeySBOM:
		if r.SBOM, err = sbom.ParseKey(text); err != nil {
			return err
		}
	case KeyVerdict:
		if k, ok := signer.Public().(*ecdsa.PublicKey); !ok || k.Curve != elliptic.P256() {
			return errors.New("it is no ECDSA key on P-256")
		}
		r.Verdict = signer
	case KeyLog:
		r.Log = signer
	case KeyToken:
		if r.Token, err = auth.ParseKey(text); err != nil {
			return err
		}
		return nil // nobody but the registry verifies tokens
	}
	der, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		return err
	}
	public := filepath.Join(dir, name+".pub")
	want := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	r.Public[name] = want
	if have, err := os.ReadFile(public); err == nil && bytes.Equal(have, want) {
		return nil
	}
	return WriteDurably(public, want, 0o644)
}

// NewVerdictKey makes an ECDSA key on P-256: the verifiers of clusters know that, and not all of them know Ed25519.
func NewVerdictKey(rand io.Reader) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
