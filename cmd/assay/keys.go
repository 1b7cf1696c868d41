package main

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
	"maps"
	"os"
	"path/filepath"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/server/auth"
	"github.com/assay-registry/assay/verify"
)

// keyring is the registry's own keys. Each has one use, so that a statement of one kind can never pass for another: sbom signs generated
// SBOMs, verdict the summaries of admissions, log the audit log's checkpoints, token the access tokens. None ever speaks for an image.
type keyring struct {
	dir                string
	sbom, verdict, log crypto.Signer
	token              auth.Key
	uses               map[string]string // by key ID, as verify names keys
	public             map[string][]byte // in PEM, by use; of those that somebody else verifies with
}

// The file names below keys/.
const (
	keySBOM    = "sbom"
	keyVerdict = "verdict"
	keyLog     = "log"
	keyToken   = "token"
)

// openKeys reads the keys in dir and makes those that are missing, durably. The caller holds the lock of the data directory.
func openKeys(dir string, rand io.Reader) (*keyring, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	ring := &keyring{dir: dir, uses: map[string]string{}, public: map[string][]byte{}}
	for _, name := range []string{keySBOM, keyVerdict, keyLog, keyToken} {
		text, err := readKey(filepath.Join(dir, name))
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

// own are all keys that are the registry's, by ID, with what each is for: those that it signs with, and those of the webhooks as they stand now.
func (r *keyring) own() map[string]string {
	all := maps.Clone(r.uses)
	for _, name := range []string{webhookCA, webhookCANext, webhookServing} {
		p, err := readPair(filepath.Join(r.dir, name))
		if err != nil {
			continue // there is none, or whoever serves under it says why not
		}
		if id, err := verify.KeyID(p.key.Public()); err == nil {
			all[id] = name
		}
	}
	return all
}

// readKey refuses a key that others can read: it may have been copied.
func readKey(path string) ([]byte, error) {
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
	case keyToken:
		k, err := auth.NewKey(rand)
		if err != nil {
			return nil, err
		}
		if text, err = k.Bytes(); err != nil {
			return nil, err
		}
	case keyVerdict:
		if text, err = newVerdictKey(rand); err != nil {
			return nil, err
		}
	default:
		if _, text, err = sbom.NewKey(rand); err != nil {
			return nil, err
		}
	}
	return text, writeDurably(filepath.Join(dir, name), text, 0o600)
}

// add parses a key, notes its ID, and keeps its public half beside it for whoever verifies.
func (r *keyring) add(dir, name string, text []byte) error {
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
	if use, taken := r.uses[id]; taken {
		return fmt.Errorf("it is the same as the %s key, and each has its own", use)
	}
	r.uses[id] = name
	switch name {
	case keySBOM:
		if r.sbom, err = sbom.ParseKey(text); err != nil {
			return err
		}
	case keyVerdict:
		if k, ok := signer.Public().(*ecdsa.PublicKey); !ok || k.Curve != elliptic.P256() {
			return errors.New("it is no ECDSA key on P-256")
		}
		r.verdict = signer
	case keyLog:
		r.log = signer
	case keyToken:
		if r.token, err = auth.ParseKey(text); err != nil {
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
	r.public[name] = want
	if have, err := os.ReadFile(public); err == nil && bytes.Equal(have, want) {
		return nil
	}
	return writeDurably(public, want, 0o644)
}

// writeDurably replaces path by text: temporary file, fsync, rename, fsync of the directory.
func writeDurably(path string, text []byte, mode os.FileMode) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	err = errors.Join(f.Chmod(mode), func() error { _, err := f.Write(text); return err }(), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDirectory(dir)
}

func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
