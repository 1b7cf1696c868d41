package sigstore

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"io"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"
)

// key is a public key with every algorithm that signers use with keys of its type.
type key struct {
	verify.Key
	public     crypto.PublicKey
	algorithms []algorithm
	hint       string // how sigstore names the key: see hintOf
	memo       *memo  // of good signatures; nil for none
	name       string // in the memo: found of the key itself, whatever the authority calls it
}

// algorithm verifies signatures over a digest, or, with hash 0, over the message itself (Ed25519).
type algorithm struct {
	hash     crypto.Hash
	verifier signature.Verifier
}

// loadKey lists the algorithms: for ECDSA SHA-256, which cosign long used with every curve, and the curve's own; for RSA both paddings under three
// hashes, because keys in a KMS are made for one of them; for Ed25519 the pure form and the one over SHA-512, which have separate domains.
func loadKey(k verify.Key) (*key, error) {
	public, err := k.Public()
	if err != nil {
		return nil, err
	}
	return withAlgorithms(&key{Key: k, public: public, hint: hintOf(k.ID)})
}

// publicKey is the key of a certificate.
func publicKey(public crypto.PublicKey) (*key, error) {
	id, err := verify.KeyID(public)
	if err != nil {
		return nil, err
	}
	return withAlgorithms(&key{Key: verify.Key{ID: id}, public: public})
}

func withAlgorithms(loaded *key) (_ *key, err error) {
	if loaded.name, err = verify.KeyID(loaded.public); err != nil {
		return nil, err
	}
	switch pub := loaded.public.(type) {
	case *ecdsa.PublicKey:
		err = loaded.addECDSA(pub)
	case *rsa.PublicKey:
		err = loaded.addRSA(pub)
	case ed25519.PublicKey:
		err = errors.Join(loaded.add(0)(signature.LoadED25519Verifier(pub)), loaded.add(crypto.SHA512)(signature.LoadED25519phVerifier(pub)))
	}
	return loaded, err
}

func (k *key) addECDSA(pub *ecdsa.PublicKey) error {
	hashes := []crypto.Hash{crypto.SHA256}
	switch pub.Curve {
	case elliptic.P384():
		hashes = append(hashes, crypto.SHA384)
	case elliptic.P521():
		hashes = append(hashes, crypto.SHA512)
	}
	for _, h := range hashes {
		if err := k.add(h)(signature.LoadECDSAVerifier(pub, h)); err != nil {
			return err
		}
	}
	return nil
}

func (k *key) addRSA(pub *rsa.PublicKey) error {
	for _, h := range [...]crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		if err := k.add(h)(signature.LoadRSAPKCS1v15Verifier(pub, h)); err != nil {
			return err
		}
		if err := k.add(h)(signature.LoadRSAPSSVerifier(pub, h, nil)); err != nil {
			return err
		}
	}
	return nil
}

// add takes what sigstore's constructors return: a verifier, or why there is none.
func (k *key) add(h crypto.Hash) func(signature.Verifier, error) error {
	return func(v signature.Verifier, err error) error {
		if err == nil {
			k.algorithms = append(k.algorithms, algorithm{hash: h, verifier: v})
		}
		return err
	}
}

// size is the length in bytes that a signature of the key has, or 0 where it varies.
func (k *key) size() int {
	switch pub := k.public.(type) {
	case *rsa.PublicKey:
		return pub.Size()
	case ed25519.PublicKey:
		return ed25519.SignatureSize
	}
	return 0
}

// made reports whether the key made sig over m, under any of its algorithms.
func (k *key) made(sig []byte, m *message) bool {
	if n := k.size(); len(sig) == 0 || n != 0 && len(sig) != n {
		return false
	}
	for n, a := range k.algorithms {
		if sum := m.sum(a.named()); sum != nil && (a.hash != 0 || m.whole) && k.memo.has(memoName(k.name, n, a.hash, sum, sig)) {
			return true
		}
	}
	for n, a := range k.algorithms {
		if a.made(sig, m) {
			k.memo.add(memoName(k.name, n, a.hash, m.sum(a.named()), sig))
			return true
		}
	}
	return false
}

// named is the hash by which a message is named in the memo: the algorithm's, or one where that signs the message itself.
func (a algorithm) named() crypto.Hash {
	if a.hash == 0 {
		return crypto.SHA512
	}
	return a.hash
}

func (a algorithm) made(sig []byte, m *message) bool {
	if a.hash == 0 {
		return m.whole && a.verifier.VerifySignature(bytes.NewReader(sig), bytes.NewReader(m.bytes)) == nil
	}
	sum := m.sum(a.hash)
	return sum != nil && a.verifier.VerifySignature(bytes.NewReader(sig), bytes.NewReader(nil), options.WithDigest(sum)) == nil
}

// can reports whether any algorithm of the key can verify a signature over m.
func (k *key) can(m *message) bool {
	for _, a := range k.algorithms {
		if a.hash == 0 && m.whole || a.hash != 0 && m.sum(a.hash) != nil {
			return true
		}
	}
	return false
}

// message is what was signed: the bytes (whole), or no more than a digest of them. It hashes once for all keys.
type message struct {
	bytes []byte
	whole bool
	sums  map[crypto.Hash][]byte
}

func newMessage(b []byte) *message {
	return &message{bytes: b, whole: true, sums: map[crypto.Hash][]byte{}}
}

// sum is the digest of the message; nil where only one under another hash is known.
func (m *message) sum(h crypto.Hash) []byte {
	if sum, ok := m.sums[h]; ok || !m.whole {
		return sum
	}
	switch h {
	case crypto.SHA256:
		sum := sha256.Sum256(m.bytes)
		m.sums[h] = sum[:]
	case crypto.SHA384:
		sum := sha512.Sum384(m.bytes)
		m.sums[h] = sum[:]
	case crypto.SHA512:
		sum := sha512.Sum512(m.bytes)
		m.sums[h] = sum[:]
	}
	return m.sums[h]
}

// digest names the message: by SHA-256 where all of it is known, else by what is.
func (m *message) digest() store.Digest {
	for _, h := range [...]struct {
		crypto.Hash
		name string
	}{{crypto.SHA256, "sha256"}, {crypto.SHA384, "sha384"}, {crypto.SHA512, "sha512"}} {
		if sum := m.sum(h.Hash); sum != nil {
			return store.Digest(h.name + ":" + hex.EncodeToString(sum))
		}
	}
	return ""
}

// wellFormed reports whether some key that the registry takes could have made sig: DER of two integers (ECDSA), or a fixed length (Ed25519,
// ECDSA in the form of IEEE P1363, RSA of 2048 to 8192 bits).
func wellFormed(sig []byte) bool {
	switch n := len(sig); {
	case n == 0:
		return false
	case n == 64 || n == 96 || n == 132 || n >= 256 && n <= 1024:
		return true
	case n >= 8 && n <= 141: // ECDSA
		return sig[0] == 0x30 && (int(sig[1]) == n-2 || sig[1] == 0x81 && int(sig[2]) == n-3)
	}
	return false
}

// adapter shows a key to sigstore-go as one verifier and remembers whether it said yes: what fails after that is not the signature.
type adapter struct {
	key  *key
	made bool
}

// PublicKey is signature.PublicKeyProvider.
func (a *adapter) PublicKey(...signature.PublicKeyOption) (crypto.PublicKey, error) {
	return a.key.public, nil
}

// VerifySignature is signature.Verifier: over the message, or, with options.WithDigest, over a digest whose length tells its hash. A digest never stands for
// a message: Ed25519 in its pure form refuses it.
func (a *adapter) VerifySignature(sig, msg io.Reader, opts ...signature.VerifyOption) error {
	s, err := io.ReadAll(sig)
	if err != nil {
		return err
	}
	var digest []byte
	for _, o := range opts {
		o.ApplyDigest(&digest)
	}
	m := prehashed(digest)
	if digest == nil {
		b, err := io.ReadAll(msg)
		if err != nil {
			return err
		}
		m = newMessage(b)
	}
	if !a.key.made(s, m) {
		return errors.New("the key did not make this signature")
	}
	a.made = true
	return nil
}

// prehashed is a message of which only the digest is known.
func prehashed(digest []byte) *message {
	m := &message{sums: map[crypto.Hash][]byte{}}
	for _, h := range [...]crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		if len(digest) == h.Size() {
			m.sums[h] = digest
		}
	}
	return m
}
