package sigstore

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/opencontainers/go-digest"
)

// signer makes signatures as the clients do.
type signer struct {
	name string
	key  verify.Key
	sign func(message []byte) []byte
}

// hashed signs a digest of the message.
func hashed(t testing.TB, private crypto.Signer, random bool, opts crypto.SignerOpts) func([]byte) []byte {
	return func(message []byte) []byte {
		h := opts.HashFunc().New()
		h.Write(message)
		var source = rand.Reader
		if !random {
			source = nil // RFC 6979: the same signature each time
		}
		sig, err := private.Sign(source, h.Sum(nil), opts)
		if err != nil {
			t.Fatal(err)
		}
		return sig
	}
}

func newSigner(t testing.TB, name string, public crypto.PublicKey, sign func([]byte) []byte) signer {
	t.Helper()
	k, err := testKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return signer{name: name, key: k, sign: sign}
}

// ecdsaSigner is a key that is the same in each run.
func ecdsaSigner(t testing.TB, curve elliptic.Curve, seed string, hash crypto.Hash) signer {
	t.Helper()
	raw := make([]byte, (curve.Params().BitSize+7)/8)
	sum := sha256.Sum256([]byte(seed))
	copy(raw[len(raw)-32:], sum[:])
	raw[0] = 0
	private, err := ecdsa.ParseRawPrivateKey(curve, raw)
	if err != nil {
		t.Fatal(err)
	}
	return newSigner(t, seed, private.Public(), hashed(t, private, false, hash))
}

func p256(t testing.TB, seed string) signer {
	return ecdsaSigner(t, elliptic.P256(), seed, crypto.SHA256)
}

func ed25519Signer(t testing.TB, seed string, prehash bool) signer {
	sum := sha256.Sum256([]byte(seed))
	private := ed25519.NewKeyFromSeed(sum[:])
	if prehash {
		return newSigner(t, seed, private.Public(), hashed(t, private, false, &ed25519.Options{Hash: crypto.SHA512}))
	}
	return newSigner(t, seed, private.Public(), func(m []byte) []byte { return ed25519.Sign(private, m) })
}

var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func rsaSigner(t testing.TB, opts crypto.SignerOpts) signer {
	t.Helper()
	private, err := rsaKey()
	if err != nil {
		t.Fatal(err)
	}
	return newSigner(t, "rsa", private.Public(), hashed(t, private, true, opts))
}

// every is one signer for each algorithm that signers use.
func every(t testing.TB) map[string]signer {
	return map[string]signer{
		"P-256":                ecdsaSigner(t, elliptic.P256(), "a", crypto.SHA256),
		"P-384 SHA-256":        ecdsaSigner(t, elliptic.P384(), "b", crypto.SHA256),
		"P-384 SHA-384":        ecdsaSigner(t, elliptic.P384(), "b", crypto.SHA384),
		"P-521 SHA-256":        ecdsaSigner(t, elliptic.P521(), "c", crypto.SHA256),
		"P-521 SHA-512":        ecdsaSigner(t, elliptic.P521(), "c", crypto.SHA512),
		"Ed25519":              ed25519Signer(t, "d", false),
		"Ed25519ph":            ed25519Signer(t, "d", true),
		"RSA PKCS1v15 SHA-256": rsaSigner(t, crypto.SHA256),
		"RSA PKCS1v15 SHA-512": rsaSigner(t, crypto.SHA512),
		"RSA PSS SHA-256":      rsaSigner(t, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}),
		"RSA PSS SHA-512":      rsaSigner(t, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA512}),
	}
}

func testKey(public crypto.PublicKey) (verify.Key, error) {
	id, err := verify.KeyID(public)
	if err != nil {
		return verify.Key{}, err
	}
	k, err := verify.ParseKeyPEM(pemOf(public))
	if err == nil && k.ID != id {
		err = fmt.Errorf("KeyID %s and ParseKeyPEM %s differ", id, k.ID)
	}
	return k, err
}

// image is what the tests sign.
var image = []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{},"layers":[]}`)

func subjectOf(repo string, manifest []byte) verify.Subject {
	return verify.Subject{
		Repository: store.Name(repo),
		Descriptor: store.Descriptor{MediaType: store.TypeImage, Digest: store.DigestOf(digest.SHA256, manifest), Size: int64(len(manifest))},
		Alternate:  store.DigestOf(digest.SHA512, manifest),
	}
}

func app() verify.Subject { return subjectOf("acme/app", image) }

// release is an authority for acme/**.
func release(keys ...verify.Key) verify.Authority {
	return verify.Authority{Name: "release", Kind: verify.KindKey, Keys: keys, Repositories: store.Globs{"acme/**"}}
}

func layer(mediaType string, b []byte, annotations map[string]string) verify.Layer {
	return verify.Layer{
		Descriptor: store.Descriptor{MediaType: mediaType, Digest: store.DigestOf(digest.SHA256, b), Size: int64(len(b)), Annotations: annotations},
		Bytes:      b,
	}
}

func evidence(layers ...verify.Layer) []verify.Evidence {
	names := make([]string, len(layers))
	for i, l := range layers {
		names[i] = string(l.Digest)
	}
	manifest := []byte(strings.Join(names, " "))
	return []verify.Evidence{{
		Manifest: store.Descriptor{MediaType: store.TypeImage, Digest: store.DigestOf(digest.SHA256, manifest), Size: int64(len(manifest))},
		Found:    verify.FoundTag, Layers: layers,
	}}
}

// payload is a simple signing payload as cosign writes it.
func payload(reference string, d store.Digest, optional string) []byte {
	return fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":%q},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":%s}`,
		reference, d, optional)
}

// simple is a signed simple signing layer.
func (s signer) simple(b []byte) verify.Layer {
	return layer(verify.TypeSimpleSigning, b, map[string]string{verify.AnnotationSignature: base64.StdEncoding.EncodeToString(s.sign(b))})
}

func good(s signer) verify.Layer {
	return s.simple(payload("registry.example:5000/acme/app", app().Descriptor.Digest, "null"))
}

// statement is an in-toto statement about digests given as algorithm:hex.
func statement(predicateType, predicate string, digests ...store.Digest) []byte {
	var subjects []string
	for _, d := range digests {
		subjects = append(subjects, fmt.Sprintf(`{"name":"image","digest":{%q:%q}}`, d.Algorithm(), d.Encoded()))
	}
	return fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[%s],"predicateType":%q,"predicate":%s}`,
		strings.Join(subjects, ","), predicateType, predicate)
}

// envelope signs a payload by every signer.
func envelope(payloadType string, payload []byte, signers ...signer) []byte {
	type sig struct {
		KeyID string `json:"keyid"`
		Sig   []byte `json:"sig"`
	}
	doc := struct {
		PayloadType string `json:"payloadType"`
		Payload     []byte `json:"payload"`
		Signatures  []sig  `json:"signatures"`
	}{PayloadType: payloadType, Payload: payload}
	for _, s := range signers {
		doc.Signatures = append(doc.Signatures, sig{Sig: s.sign(verify.PAE(payloadType, payload))})
	}
	return marshal(doc)
}

func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // of the test's own values
	}
	return b
}

func (s signer) dsse(statement []byte) verify.Layer {
	return layer(verify.TypeDSSE, envelope(verify.TypeInToto, statement, s), nil)
}

// bundleJSON wraps content as a client does that signs with a key.
func (s signer) bundleJSON(mediaType, content string) []byte {
	return fmt.Appendf(nil, `{"mediaType":%q,"verificationMaterial":{"publicKey":{"hint":%q}},%s}`, mediaType, hintOf(s.key.ID), content)
}

func (s signer) bundle(mediaType string, statement []byte) verify.Layer {
	return layer(verify.TypeBundle, s.bundleJSON(mediaType, `"dsseEnvelope":`+string(envelope(verify.TypeInToto, statement, s))), nil)
}

// messageBundle signs the manifest's bytes themselves.
func (s signer) messageBundle(algorithm string, sum, signed []byte) verify.Layer {
	content := fmt.Sprintf(`"messageSignature":{"messageDigest":{"algorithm":%q,"digest":%q},"signature":%q}`,
		algorithm, base64.StdEncoding.EncodeToString(sum), base64.StdEncoding.EncodeToString(s.sign(signed)))
	return layer(verify.TypeBundle, s.bundleJSON(verify.TypeBundle, content), nil)
}

// check verifies and fails the test on an error.
func check(t testing.TB, subject verify.Subject, evidence []verify.Evidence, authorities ...verify.Authority) []verify.Fact {
	t.Helper()
	report, err := New(slog.New(slog.DiscardHandler)).Verify(context.Background(), subject, evidence, authorities)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Facts {
		if f.Verified != (f.Code == "") || f.Verified != (f.Message == "") {
			t.Errorf("a fact is proven or says why not: %+v", f)
		}
		if f.Verified && (f.Authority == "" || f.KeyID == "" || f.Signed == "" || (f.Identity == "") != (f.Serial == "")) {
			t.Errorf("a proven fact names authority, key and what was signed, and who signed with which certificate: %+v", f)
		}
		if len(f.Message) > 300 || strings.ContainsFunc(f.Message, func(r rune) bool { return r < ' ' }) {
			t.Errorf("a message is one short line: %q", f.Message)
		}
	}
	return report.Facts
}

// one verifies and returns the only fact.
func one(t testing.TB, subject verify.Subject, l verify.Layer, authorities ...verify.Authority) verify.Fact {
	t.Helper()
	facts := check(t, subject, evidence(l), authorities...)
	if len(facts) != 1 {
		t.Fatalf("got %d facts, want 1: %+v", len(facts), facts)
	}
	return facts[0]
}

// want fails unless the fact has the code; "" means proven.
func want(t testing.TB, f verify.Fact, code verify.Code) {
	t.Helper()
	if f.Code != code {
		t.Errorf("got %q (%s), want %q", f.Code, f.Message, code)
	}
}
