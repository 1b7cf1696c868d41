package signer

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/assay-registry/assay/verify/sigstore"
)

var subject = Subject{Reference: "registry.example.com/acme/app",
	Descriptor: store.Descriptor{MediaType: store.TypeImage, Digest: "sha256:" + store.Digest(strings.Repeat("ab", 32)), Size: 1234}}

// keys are private keys of every type that is taken, as plain PKCS #8.
func keys(t testing.TB) map[string][]byte {
	t.Helper()
	text := map[string][]byte{}
	add := func(name string, key crypto.Signer, err error) {
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		text[name] = pem.EncodeToMemory(&pem.Block{Type: pemPKCS8, Bytes: der})
	}
	for name, curve := range map[string]elliptic.Curve{"p256": elliptic.P256(), "p384": elliptic.P384(), "p521": elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		add(name, key, err)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	add("ed25519", key, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	add("rsa", rsaKey, err)
	return text
}

// proven asks the registry's own verifier about one layer under one key.
func proven(t *testing.T, k *Key, l store.Descriptor, b []byte) verify.Fact {
	t.Helper()
	v := sigstore.New(slog.New(slog.DiscardHandler))
	e := verify.Evidence{Manifest: store.Descriptor{Digest: "sha256:" + store.Digest(strings.Repeat("cd", 32))}, Layers: []verify.Layer{{Descriptor: l, Bytes: b}}}
	r, err := v.Verify(t.Context(), verify.Subject{Repository: "acme/app", Descriptor: subject.Descriptor}, []verify.Evidence{e},
		[]verify.Authority{{Name: "release", Kind: verify.KindKey, Keys: []verify.Key{k.Key}, Repositories: store.Globs{"acme/**"}}})
	if err != nil || len(r.Facts) != 1 {
		t.Fatalf("%v %v", r, err)
	}
	return r.Facts[0]
}

func TestWhatIsSignedIsProven(t *testing.T) {
	for name, text := range keys(t) {
		t.Run(name, func(t *testing.T) {
			k, err := Parse(rand.Reader, text, nil)
			if err != nil {
				t.Fatal(err)
			}
			signed, err := k.Sign(subject, map[string]string{"build": "42"})
			if err != nil {
				t.Fatal(err)
			}
			if f := proven(t, k, signed.Descriptor, signed.Bytes); !f.Verified || f.Annotations["build"] != "42" || f.ClaimedReference != subject.Reference {
				t.Errorf("a signature: %+v", f)
			}
			attested, err := k.Attest(subject, "https://example.com/review", []byte(`{"reviewer":"kim"}`))
			if err != nil {
				t.Fatal(err)
			}
			if f := proven(t, k, attested.Descriptor, attested.Bytes); !f.Verified || f.PredicateType != "https://example.com/review" || f.Kind != verify.KindAttestation {
				t.Errorf("an attestation: %+v", f)
			}
			for what, make := range map[string]func() (*Attachment, error){
				"signature": func() (*Attachment, error) { return k.SignBundle(subject, nil, time.Unix(0, 0)) },
				"attestation": func() (*Attachment, error) {
					return k.AttestBundle(subject, "https://example.com/review", []byte(`{"reviewer":"kim"}`), time.Unix(0, 0))
				},
			} {
				at, err := make()
				if err != nil {
					t.Fatal(err)
				}
				p, err := store.ParseManifest(at.MediaType, at.Manifest)
				if err != nil {
					t.Fatal(err)
				}
				if f := proven(t, k, p.Layers[0], at.Blobs[1]); !f.Verified || string(f.Kind) != what || p.Subject.Digest != subject.Digest || at.Tag != "" {
					t.Errorf("a bundle with a %s: %+v", what, f)
				}
			}
		})
	}
}

func TestKeysAsCosignKeepsThem(t *testing.T) {
	private, public, err := Generate(rand.Reader, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if !Encrypted(private) || bytes.Contains(private, []byte("BEGIN PRIVATE")) {
		t.Fatalf("not encrypted: %s", private)
	}
	k, err := Parse(rand.Reader, private, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	trusted, err := verify.ParseKeyPEM(public)
	if err != nil || trusted.ID != k.ID {
		t.Errorf("the halves do not match: %v", err)
	}
	for _, password := range []string{"", "Secret"} {
		if _, err := Parse(rand.Reader, private, []byte(password)); err == nil || !strings.Contains(err.Error(), "password") {
			t.Errorf("the password %q: %v", password, err)
		}
	}
}

func TestKeysThatAreNone(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	_, public, err := Generate(rand.Reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	good := keys(t)["p256"]
	for name, c := range map[string]struct {
		text []byte
		says string
	}{
		"empty":         {nil, "not one private key"},
		"no PEM":        {[]byte("hello"), "not one private key"},
		"two":           {append(bytes.Clone(good), good...), "not one private key"},
		"public":        {public, "this is the public key"},
		"certificate":   {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), "CERTIFICATE"},
		"terminal text": {[]byte("-----BEGIN \x1b[31m-----\neA==\n-----END \x1b[31m-----\n"), "something else"},
		"damaged":       {pem.EncodeToMemory(&pem.Block{Type: pemPKCS8, Bytes: []byte("x")}), "damaged"},
		"damaged box":   {pem.EncodeToMemory(&pem.Block{Type: pemSigstore, Bytes: []byte("{}")}), "decrypted"},
		"weak":          {pem.EncodeToMemory(&pem.Block{Type: pemPKCS1, Bytes: x509.MarshalPKCS1PrivateKey(weak)}), "1024 bits"},
		"huge":          {bytes.Repeat([]byte("a"), verify.MaxKeyPEM+1), "more than"},
	} {
		if _, err := Parse(rand.Reader, c.text, nil); err == nil || !strings.Contains(err.Error(), c.says) || strings.ContainsRune(err.Error(), 0x1b) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

func TestATagKeepsWhatStoodThere(t *testing.T) {
	k, err := Parse(rand.Reader, keys(t)["ed25519"], nil) // signs the same twice
	if err != nil {
		t.Fatal(err)
	}
	var manifest []byte
	for n := range verify.MaxLayers {
		l, err := k.Sign(subject, map[string]string{"n": fmt.Sprint(n)})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			at, err := Tagged(subject, referrers.SuffixSig, manifest, l)
			if err != nil {
				t.Fatal(err)
			}
			manifest = at.Manifest
			if at.Tag != "sha256-"+subject.Digest.Encoded()+".sig" {
				t.Fatalf("tag %s", at.Tag)
			}
		}
		var m ocispec.Manifest
		if err := json.Unmarshal(manifest, &m); err != nil || len(m.Layers) != n+1 {
			t.Fatalf("%d layers after %d signatures (%v)", len(m.Layers), n+1, err)
		}
	}
	more, err := k.Sign(subject, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Tagged(subject, referrers.SuffixSig, manifest, more); err == nil || !strings.Contains(err.Error(), "--form bundle") {
		t.Errorf("one too many: %v", err)
	}
	if _, err := Tagged(subject, referrers.SuffixSig, []byte(`{"schemaVersion":2}`), more); err == nil {
		t.Error("what is no manifest was added to")
	}
}

func TestPredicates(t *testing.T) {
	for in, want := range map[string]string{"spdx": "https://spdx.dev/Document", "slsaprovenance1": "https://slsa.dev/provenance/v1", "https://example.com/x": "https://example.com/x", "": "", "provenance": "", "https://a b": ""} {
		if got, err := PredicateType(in); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q %v", in, got, err)
		}
	}
	k, err := Parse(rand.Reader, keys(t)["p256"], nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, predicate := range []string{"", "x", "{}", `{"a":1,"a":2}`, `{} {}`} {
		if _, err := k.Attest(subject, "https://example.com/x", []byte(predicate)); err == nil {
			t.Errorf("the predicate %q is attested", predicate)
		}
	}
	if _, err := k.Attest(subject, "https://example.com/x", append(append([]byte(`"`), bytes.Repeat([]byte("a"), verify.MaxAttestation)...), '"')); err == nil {
		t.Error("an attestation that no registry takes is made")
	}
}

func FuzzParse(f *testing.F) {
	private, public, err := Generate(rand.Reader, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(private)
	f.Add(public)
	for _, text := range keys(f) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if k, err := Parse(rand.Reader, text, nil); err == nil {
			if _, err := k.Sign(subject, nil); err != nil {
				t.Fatal(err)
			}
		}
	})
}
