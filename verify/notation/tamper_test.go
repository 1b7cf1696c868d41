package notation

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/fxamacker/cbor/v2"
	"github.com/notaryproject/notation-core-go/signature"
)

func jwsOf(t testing.TB, l verify.Layer) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(l.Bytes, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func headerOf(t testing.TB, l verify.Layer) map[string]any {
	return jwsOf(t, l)["header"].(map[string]any)
}

// rewritten is the JWS with its members changed.
func rewritten(t testing.TB, l verify.Layer, edit func(map[string]any)) verify.Layer {
	t.Helper()
	doc := jwsOf(t, l)
	edit(doc)
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return layer(typeJWS, b)
}

func withHeader(t testing.TB, l verify.Layer, edit func(map[string]any)) verify.Layer {
	return rewritten(t, l, func(doc map[string]any) { edit(doc["header"].(map[string]any)) })
}

// inside changes the text that a member holds in base64url.
func inside(t testing.TB, l verify.Layer, member, old, new string) verify.Layer {
	return rewritten(t, l, func(doc map[string]any) {
		b, err := base64.RawURLEncoding.DecodeString(doc[member].(string))
		if err != nil || !bytes.Contains(b, []byte(old)) {
			t.Fatalf("%s holds no %s: %s", member, old, b)
		}
		doc[member] = base64.RawURLEncoding.EncodeToString(bytes.Replace(b, []byte(old), []byte(new), 1))
	})
}

// flip changes one bit of base64 text: of byte n, counted from the end if negative.
func flip(t testing.TB, text any, n int) string {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(text.(string))
	if err != nil {
		t.Fatal(err)
	}
	b[(n+len(b))%len(b)] ^= 1
	return base64.StdEncoding.EncodeToString(b)
}

// cutChain leaves out certificates from n on.
func cutChain(n int) func(map[string]any) {
	return func(h map[string]any) { h["x5c"] = h["x5c"].([]any)[:n] }
}

func TestTamperedJWS(t *testing.T) {
	p, other := plainPKI(t), plainPKI(t)
	good := byCore(t, typeJWS, p.leaf, func(r *signature.SignRequest) { r.Expiry = signed.Add(time.Hour) })
	want(t, one(t, app(), good, p.notary()), "")
	digest := string(app().Descriptor.Digest)
	foreign := string(subjectOf([]byte("another image")).Descriptor.Digest)
	theirs := headerOf(t, byCore(t, typeJWS, other.leaf, nil))["x5c"]
	for _, c := range []struct {
		name string
		l    verify.Layer
		code verify.Code
	}{
		{"payload: digest", inside(t, good, "payload", digest, foreign), verify.CodeInvalid},
		{"payload: size", inside(t, good, "payload", `"size":19`, `"size":18`), verify.CodeInvalid},
		{"payload: type", inside(t, good, "payload", store.TypeImage, store.TypeIndex), verify.CodeInvalid},
		{"payload: annotation", inside(t, good, "payload", `"size":19`, `"size":19,"annotations":{"a":"b"}`), verify.CodeInvalid},
		{"payload: size twice", inside(t, good, "payload", `"size":19`, `"size":19,"size":19`), verify.CodeMalformed},
		{"payload: size in capitals", inside(t, good, "payload", `"size":19`, `"size":19,"SIZE":18`), verify.CodeMalformed},
		{"payload: size no integer", inside(t, good, "payload", `"size":19`, `"size":1.9e1`), verify.CodeMalformed},
		{"payload: no digest", inside(t, good, "payload", digest, "sha256:00"), verify.CodeMalformed},
		{"payload: weak digest", inside(t, good, "payload", digest, "md5:d41d8cd98f00b204e9800998ecf8427e"), verify.CodeMalformed},
		{"payload: null", rewritten(t, good, func(d map[string]any) { d["payload"] = base64.RawURLEncoding.EncodeToString([]byte("null")) }), verify.CodeMalformed},
		{"payload: padded", rewritten(t, good, func(d map[string]any) { d["payload"] = d["payload"].(string) + "==" }), verify.CodeMalformed},
		{"protected: expiry", inside(t, good, "protected", "2021-06-01T13", "2031-06-01T13"), verify.CodeInvalid},
		{"protected: signing time", inside(t, good, "protected", "2021-06-01T12", "2020-06-01T12"), verify.CodeInvalid},
		{"protected: expiry in capitals", inside(t, good, "protected", `"crit"`, `"IO.CNCF.NOTARY.EXPIRY":"2031-06-01T13:00:00Z","crit"`), verify.CodeMalformed},
		{"protected: algorithm", inside(t, good, "protected", "ES256", "ES384"), verify.CodeInvalid},
		{"protected: none", inside(t, good, "protected", "ES256", "none"), verify.CodeInvalid},
		{"protected: HMAC", inside(t, good, "protected", "ES256", "HS256"), verify.CodeInvalid},
		{"protected: content type", inside(t, good, "protected", "notary.payload.v1+json", "notary.payload.v2+json"), verify.CodeMalformed},
		{"signature", rewritten(t, good, func(d map[string]any) {
			s := []byte(d["signature"].(string))
			s[10] = map[bool]byte{true: 'B', false: 'A'}[s[10] == 'A'] // another, and still base64url
			d["signature"] = string(s)
		}), verify.CodeInvalid},
		{"signature: empty", rewritten(t, good, func(d map[string]any) { d["signature"] = "" }), verify.CodeMalformed},
		{"signature: one byte", rewritten(t, good, func(d map[string]any) { d["signature"] = "AA" }), verify.CodeInvalid},
		{"certificates: another's", withHeader(t, good, func(h map[string]any) { h["x5c"] = theirs }), verify.CodeInvalid},
		{"certificates: another's issuers", withHeader(t, good, func(h map[string]any) {
			h["x5c"] = append([]any{h["x5c"].([]any)[0]}, theirs.([]any)[1:]...)
		}), verify.CodeMalformed},
		{"certificates: none", withHeader(t, good, func(h map[string]any) { delete(h, "x5c") }), verify.CodeMalformed},
		{"certificates: leaf alone", withHeader(t, good, cutChain(1)), verify.CodeMalformed},
		{"certificates: no root", withHeader(t, good, cutChain(2)), verify.CodeMalformed},
		{"certificates: no certificate", withHeader(t, good, func(h map[string]any) { h["x5c"] = []any{"AAAA"} }), verify.CodeMalformed},
		{"certificates: damaged", withHeader(t, good, func(h map[string]any) { h["x5c"].([]any)[1] = flip(t, h["x5c"].([]any)[1], -1) }), verify.CodeMalformed},
		{"certificates: in capitals", withHeader(t, good, func(h map[string]any) { h["X5C"] = theirs }), verify.CodeMalformed},
		{"certificates: a text", withHeader(t, good, func(h map[string]any) { h["x5c"] = "AAAA" }), verify.CodeMalformed},
		{"certificates: too many", withHeader(t, good, func(h map[string]any) { h["x5c"] = slices.Repeat(h["x5c"].([]any), 11) }), verify.CodeTooBig},
		{"timestamp: too big", withHeader(t, good, func(h map[string]any) {
			h["io.cncf.notary.timestampSignature"] = base64.StdEncoding.EncodeToString(make([]byte, maxToken+1))
		}), verify.CodeTooBig},
		{"another member", rewritten(t, good, func(d map[string]any) { d["x"] = 1 }), verify.CodeMalformed},
		{"nothing", layer(typeJWS, nil), verify.CodeMalformed},
		{"null", layer(typeJWS, []byte("null")), verify.CodeMalformed},
		{"header null", layer(typeJWS, []byte(`{"payload":"e30","protected":"e30","header":null,"signature":"AA"}`)), verify.CodeMalformed},
		{"trailing", layer(typeJWS, append(slices.Clone(good.Bytes), "{}"...)), verify.CodeMalformed},
		{"as COSE", layer(typeCOSE, good.Bytes), verify.CodeMalformed},
		{"too big", layer(typeJWS, append(slices.Clone(good.Bytes), strings.Repeat(" ", verify.MaxPayload)...)), verify.CodeTooBig},
		{"other bytes", verify.Layer{Descriptor: good.Descriptor, Bytes: bytes.Replace(good.Bytes, []byte("a"), []byte("b"), 1)}, verify.CodeMalformed},
	} {
		t.Run(c.name, func(t *testing.T) { want(t, one(t, app(), c.l, p.notary()), c.code) })
	}
}

// A key that fills a layer, in whichever place of the chain, is not tried: one check would take minutes.
func TestHeavyKeys(t *testing.T) {
	p := plainPKI(t)
	n := new(big.Int).SetBit(big.NewInt(1), 1<<20, 1)
	template := &x509.Certificate{SerialNumber: big.NewInt(3), NotBefore: began, NotAfter: ended, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, p.root.cert, &rsa.PublicKey{N: n, E: 1<<31 - 1}, p.root.key)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.StdEncoding.EncodeToString(der)
	for i := range 3 {
		l := withHeader(t, byCore(t, typeJWS, p.leaf, nil), func(h map[string]any) { h["x5c"].([]any)[i] = text })
		want(t, one(t, app(), l, p.notary()), verify.CodeTooBig)
	}
}

// sign1 is a COSE_Sign1 message in its parts.
type sign1 struct {
	_           struct{} `cbor:",toarray"`
	Protected   []byte
	Unprotected map[any]any
	Payload     []byte
	Signature   []byte
}

func recoded(t testing.TB, l verify.Layer, edit func(*sign1)) verify.Layer {
	t.Helper()
	var tag cbor.RawTag
	var m sign1
	if err := cbor.Unmarshal(l.Bytes, &tag); err != nil {
		t.Fatal(err)
	}
	if err := cbor.Unmarshal(tag.Content, &m); err != nil {
		t.Fatal(err)
	}
	edit(&m)
	b, err := cbor.Marshal(cbor.Tag{Number: 18, Content: m})
	if err != nil {
		t.Fatal(err)
	}
	return layer(typeCOSE, b)
}

func TestTamperedCOSE(t *testing.T) {
	p, other := plainPKI(t), plainPKI(t)
	good := byCore(t, typeCOSE, p.leaf, func(r *signature.SignRequest) { r.Expiry = signed.Add(time.Hour) })
	want(t, one(t, app(), recoded(t, good, func(*sign1) {}), p.notary()), "")
	chain := func(e *entity) (all []any) {
		for _, c := range e.chain() {
			all = append(all, c.Raw)
		}
		return all
	}
	protected := func(edit func(map[any]any)) func(*sign1) {
		return func(m *sign1) {
			var h map[any]any
			if err := cbor.Unmarshal(m.Protected, &h); err != nil {
				t.Fatal(err)
			}
			edit(h)
			mode, err := cbor.EncOptions{Time: cbor.TimeUnix, TimeTag: cbor.EncTagRequired}.EncMode()
			if err != nil {
				t.Fatal(err)
			}
			if m.Protected, err = mode.Marshal(h); err != nil {
				t.Fatal(err)
			}
		}
	}
	x5chain := uint64(33)
	for _, c := range []struct {
		name string
		edit func(*sign1)
		code verify.Code
	}{
		{"payload", func(m *sign1) { m.Payload = payload(subjectOf([]byte("another image"))) }, verify.CodeInvalid},
		{"payload: no JSON", func(m *sign1) { m.Payload = []byte("x") }, verify.CodeMalformed},
		{"payload: nil", func(m *sign1) { m.Payload = nil }, verify.CodeMalformed},
		{"payload: another member", func(m *sign1) { m.Payload = append(m.Payload[:len(m.Payload)-1], `,"x":1}`...) }, verify.CodeInvalid},
		{"protected: expiry", protected(func(h map[any]any) { h["io.cncf.notary.expiry"] = signed.AddDate(10, 0, 0) }), verify.CodeInvalid},
		{"protected: no scheme", protected(func(h map[any]any) { delete(h, "io.cncf.notary.signingScheme") }), verify.CodeMalformed},
		{"protected: algorithm", protected(func(h map[any]any) { h[uint64(1)] = -35 }), verify.CodeInvalid},
		{"protected: content type", protected(func(h map[any]any) { h[uint64(3)] = "text/plain" }), verify.CodeMalformed},
		{"protected: empty", func(m *sign1) { m.Protected = nil }, verify.CodeMalformed},
		{"signature", func(m *sign1) { m.Signature[5] ^= 1 }, verify.CodeInvalid},
		{"signature: empty", func(m *sign1) { m.Signature = []byte{} }, verify.CodeMalformed},
		{"certificates: another's", func(m *sign1) { m.Unprotected[x5chain] = chain(other.leaf) }, verify.CodeInvalid},
		{"certificates: another's issuers", func(m *sign1) { m.Unprotected[x5chain] = append(chain(p.leaf)[:1], chain(other.leaf)[1:]...) }, verify.CodeMalformed},
		{"certificates: none", func(m *sign1) { delete(m.Unprotected, x5chain) }, verify.CodeMalformed},
		{"certificates: one as bytes", func(m *sign1) { m.Unprotected[x5chain] = p.leaf.cert.Raw }, verify.CodeMalformed},
		{"certificates: numbers", func(m *sign1) { m.Unprotected[x5chain] = []any{1, 2} }, verify.CodeMalformed},
		{"certificates: empty", func(m *sign1) { m.Unprotected[x5chain] = []any{} }, verify.CodeMalformed},
		{"certificates: too many", func(m *sign1) { m.Unprotected[x5chain] = slices.Repeat(chain(p.leaf), 11) }, verify.CodeTooBig},
		{"timestamp: too big", func(m *sign1) { m.Unprotected["io.cncf.notary.timestampSignature"] = make([]byte, maxToken+1) }, verify.CodeTooBig},
	} {
		t.Run(c.name, func(t *testing.T) { want(t, one(t, app(), recoded(t, good, c.edit), p.notary()), c.code) })
	}
	for name, l := range map[string]verify.Layer{"trailing": layer(typeCOSE, append(slices.Clone(good.Bytes), 0)), "as JWS": layer(typeJWS, good.Bytes), "cut": layer(typeCOSE, good.Bytes[:len(good.Bytes)-1])} {
		t.Run(name, func(t *testing.T) { want(t, one(t, app(), l, p.notary()), verify.CodeMalformed) })
	}
}

// What a signature demands to be understood, and is not, refuses.
func TestCriticalAttributes(t *testing.T) {
	p := plainPKI(t)
	for _, mediaType := range []string{typeJWS, typeCOSE} {
		with := func(edit func(*signature.SignRequest)) verify.Fact {
			return one(t, app(), byCore(t, mediaType, p.leaf, edit), p.notary())
		}
		attribute := func(key any, critical bool) func(*signature.SignRequest) {
			return func(r *signature.SignRequest) {
				r.ExtendedSignedAttributes = []signature.Attribute{{Key: key, Value: "x", Critical: critical}}
			}
		}
		want(t, with(attribute("com.example.note", false)), "")
		want(t, with(attribute("com.example.rule", true)), verify.CodeUnsupported)
		want(t, with(attribute("io.cncf.notary.verificationPlugin", true)), verify.CodeUnsupported)
		want(t, with(attribute("io.cncf.notary.verificationPlugin", false)), verify.CodeUnsupported)
		want(t, with(func(r *signature.SignRequest) { r.SigningScheme = signature.SigningSchemeX509SigningAuthority }), verify.CodeUnsupported)
	}
	numbered := byCore(t, typeCOSE, p.leaf, func(r *signature.SignRequest) {
		r.ExtendedSignedAttributes = []signature.Attribute{{Key: int64(1000), Value: "x", Critical: true}}
	})
	want(t, one(t, app(), numbered, p.notary()), verify.CodeUnsupported)
}

// What notation writes is evidence by its content, and what only claims to be is not.
func TestClassifiedAsEvidence(t *testing.T) {
	p := newPKI(t, rsaOf(t, 2048), nil)
	tsa := newStamper(t, signed)
	full := func(r *signature.SignRequest) {
		tsa.stamping(r)
		r.Expiry, r.SigningAgent = signed.Add(time.Hour), "test/1"
		r.ExtendedSignedAttributes = []signature.Attribute{{Key: "com.example.note", Value: "x", Critical: true}}
	}
	for _, mediaType := range []string{typeJWS, typeCOSE} {
		for _, l := range []verify.Layer{byNotation(t, mediaType, p.leaf, descriptor(app()), nil), byCore(t, mediaType, p.leaf, full)} {
			if class := classify(t, l); !class.Evidence || len(class.Parts) != 1 {
				t.Errorf("%s: %+v", mediaType, class)
			}
			n, err := referrers.ParseNotation(mediaType, l.Bytes)
			if err != nil || len(n.Certificates) != 3 || !bytes.Equal(n.Certificates[0], p.leaf.cert.Raw) || n.Timestamp != nil && len(n.Timestamp) < 1000 {
				t.Errorf("%s: %v", mediaType, err)
			}
		}
	}
	stamped := byCore(t, typeCOSE, p.leaf, full)
	polyglot := tarJWS(t, byCore(t, typeJWS, p.leaf, nil))
	want(t, one(t, app(), polyglot, p.notary()), "")
	if n, err := referrers.ParseNotation(typeCOSE, stamped.Bytes); err != nil || n.Timestamp == nil {
		t.Fatalf("no timestamp: %v", err)
	}
	for name, l := range map[string]verify.Layer{
		"COSE of another payload": byCore(t, typeCOSE, p.leaf, func(r *signature.SignRequest) { r.Payload.Content = []byte(`{"a":1}`) }),
		"JWS of another payload":  byCore(t, typeJWS, p.leaf, func(r *signature.SignRequest) { r.Payload.Content = []byte(`{"a":1}`) }),
		"COSE of another type":    byCore(t, typeCOSE, p.leaf, func(r *signature.SignRequest) { r.Payload.ContentType = "text/plain" }),
		"COSE of a member twice": byCore(t, typeCOSE, p.leaf, func(r *signature.SignRequest) {
			r.Payload.Content = bytes.Replace(payload(app()), []byte(`"size":19`), []byte(`"size":19,"size":19`), 1)
		}),
		"JWS that is a tar":      polyglot,
		"COSE that calls itself": layer(typeJWS, stamped.Bytes),
	} {
		if class := classify(t, l); class.Evidence {
			t.Errorf("%s is taken for evidence", name)
		}
	}
}

func classify(t testing.TB, l verify.Layer) *referrers.Class {
	t.Helper()
	subject := app().Descriptor
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": store.TypeImage, "artifactType": "application/vnd.cncf.notary.signature", "subject": subject,
		"config": store.Descriptor{MediaType: store.TypeEmpty, Digest: store.DigestOf("sha256", []byte("{}")), Size: 2}, "layers": []store.Descriptor{l.Descriptor},
	})
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := store.ParseManifest(store.TypeImage, manifest)
	if err != nil {
		t.Fatal(err)
	}
	class, err := referrers.Classify(t.Context(), parsed, nil, contents{l.Digest: l.Bytes, store.DigestOf("sha256", []byte("{}")): []byte("{}")}.source())
	if err != nil {
		t.Fatal(err)
	}
	return class
}

// contents is the blobs of a repository.
type contents map[store.Digest][]byte

type reader struct{ *bytes.Reader }

func (reader) Close() error { return nil }

func (c contents) source() referrers.Source {
	return referrers.Source{
		Open: func(_ context.Context, d store.Digest) (*store.Blob, error) {
			b, ok := c[d]
			if !ok {
				return nil, store.Errorf(store.CodeBlobUnknown, "absent")
			}
			return &store.Blob{Descriptor: store.Descriptor{Digest: d, Size: int64(len(b))}, ReadSeekCloser: reader{bytes.NewReader(b)}}, nil
		},
		Evidence: func(context.Context, store.Digest) (bool, error) { return false, nil },
	}
}

// tarJWS is a signature, good under the authority, whose header, which nobody signs, comes first and makes a tar archive of it.
func tarJWS(t testing.TB, good verify.Layer) verify.Layer {
	t.Helper()
	doc := jwsOf(t, good)
	rest, err := json.Marshal(map[string]any{"payload": doc["payload"], "protected": doc["protected"], "signature": doc["signature"]})
	if err != nil {
		t.Fatal(err)
	}
	chain, err := json.Marshal(doc["header"].(map[string]any)["x5c"])
	if err != nil {
		t.Fatal(err)
	}
	b := []byte(`{"header":{"pad":"` + strings.Repeat("x", 600) + `","x5c":` + string(chain) + "}," + string(rest[1:]))
	sum := 0
	for i, c := range b[:512] {
		if i >= 148 && i < 156 {
			c = ' '
		}
		sum += int(c)
	}
	copy(b[148:156], fmt.Sprintf("%06o  ", sum))
	return layer(typeJWS, b)
}
