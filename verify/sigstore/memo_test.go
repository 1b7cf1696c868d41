package sigstore

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/sigstore/sigstore/pkg/signature"
)

// unasked is a verifier that must not be asked.
type unasked struct {
	signature.Verifier
	n *int
}

func (u unasked) VerifySignature(io.Reader, io.Reader, ...signature.VerifyOption) error {
	*u.n++
	return errors.New("asked again")
}

// A signature that was good is not computed again; any other one is.
func TestGoodSignaturesAreRemembered(t *testing.T) {
	text := []byte("signed")
	sum := sha256.Sum256(text)
	sign := func(s crypto.Signer, opts crypto.SignerOpts, b []byte) []byte {
		sig, err := s.Sign(rand.Reader, b, opts)
		if err != nil {
			t.Fatal(err)
		}
		return sig
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := &memo{}
	load := func(public crypto.PublicKey, asked *int) *key {
		k, err := publicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		k.memo = good
		if asked != nil {
			for i := range k.algorithms {
				k.algorithms[i].verifier = unasked{k.algorithms[i].verifier, asked}
			}
		}
		return k
	}
	for name, c := range map[string]struct {
		signer crypto.Signer
		sig    []byte
	}{
		"ecdsa": {ec, sign(ec, crypto.SHA256, sum[:])}, "ed25519": {ed, sign(ed, crypto.Hash(0), text)},
		"rsa": {rs, sign(rs, crypto.SHA256, sum[:])}, "rsa-pss": {rs, sign(rs, &rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA256}, sum[:])},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			again := load(c.signer.Public(), &asked)
			if again.made(c.sig, newMessage(text)) || asked == 0 {
				t.Error("good without having been looked at")
			}
			if !load(c.signer.Public(), nil).made(c.sig, newMessage(text)) {
				t.Fatal("not good")
			}
			asked = 0
			if !again.made(c.sig, newMessage(text)) || asked != 0 {
				t.Errorf("computed again: %d", asked)
			}
			broken := append([]byte(nil), c.sig...)
			broken[len(broken)-1] ^= 1
			stranger := load(other.Public(), &asked)
			stranger.ID = again.ID // whatever an authority calls it
			for what, made := range map[string]bool{
				"another signature": again.made(broken, newMessage(text)), "another message": again.made(c.sig, newMessage([]byte("signeD"))), "another key": stranger.made(c.sig, newMessage(text)),
			} {
				if made {
					t.Errorf("%s is good", what)
				}
			}
			if name == "ed25519" && again.made(c.sig, prehashed(sum[:])) {
				t.Error("a digest stands for the message")
			}
		})
	}
}

func TestTheMemoIsBounded(t *testing.T) {
	m := &memo{}
	name := func(n int) (b [sha256.Size]byte) {
		binary.BigEndian.PutUint64(b[:], uint64(n))
		return b
	}
	for n := range 5 * memoKept {
		m.add(name(n))
		if !m.has(name(0)) {
			t.Fatalf("what is asked for was forgotten after %d", n)
		}
	}
	if len(m.young) > memoKept || len(m.old) > memoKept || m.has(name(1)) || !m.has(name(5*memoKept-1)) {
		t.Errorf("%d and %d are kept", len(m.young), len(m.old))
	}
}
