package sigstore

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/opencontainers/go-digest"
)

// with returns the layer with one more annotation.
func with(l verify.Layer, key, value string) verify.Layer {
	l.Annotations = maps.Clone(l.Annotations)
	if l.Annotations == nil {
		l.Annotations = map[string]string{}
	}
	l.Annotations[key] = value
	return l
}

func TestEveryKeyType(t *testing.T) {
	predicate := `{"a":1}`
	for name, s := range every(t) {
		t.Run(name, func(t *testing.T) {
			st := statement("https://example.com/p", predicate, app().Descriptor.Digest)
			sign := statement(verify.PredicateCosignSign, "{}", app().Descriptor.Digest)
			facts := check(t, app(), evidence(good(s), s.dsse(st), s.bundle(verify.TypeBundle, st), s.bundle(verify.TypeBundle, sign)), release(s.key))
			if len(facts) != 4 {
				t.Fatalf("got %d facts", len(facts))
			}
			for i, f := range facts {
				want(t, f, "")
				if f.KeyID != s.key.ID || f.Authority != "release" {
					t.Errorf("fact %d names %s of %s", i, f.KeyID, f.Authority)
				}
			}
			for i, kind := range []verify.FactKind{verify.KindSignature, verify.KindAttestation, verify.KindAttestation, verify.KindSignature} {
				if facts[i].Kind != kind {
					t.Errorf("fact %d is a %s, want %s", i, facts[i].Kind, kind)
				}
			}
			// The same keys do not verify another message.
			tampered := good(s)
			tampered = layer(tampered.MediaType, payload("registry.example:5000/acme/app", app().Descriptor.Digest, `{"a":"b"}`), tampered.Annotations)
			want(t, one(t, app(), tampered, release(s.key)), verify.CodeUntrustedKey)
		})
	}
}

func TestSimpleSigning(t *testing.T) {
	s, other := p256(t, "signer"), p256(t, "other")
	own := app().Descriptor.Digest
	foreign := store.DigestOf(digest.SHA256, []byte("another image"))
	ref := "registry.example:5000/acme/app"
	garbage := func(sig string) verify.Layer {
		return layer(verify.TypeSimpleSigning, payload(ref, own, "null"), map[string]string{verify.AnnotationSignature: sig})
	}
	signed := func(b string) verify.Layer { return s.simple([]byte(b)) }
	cases := []struct {
		name  string
		layer verify.Layer
		code  verify.Code
	}{
		{"good", good(s), ""},
		{"good with a tag", s.simple(payload(ref+":v1", own, "null")), ""},
		{"good with a tag and digest", s.simple(payload(ref+":v1@"+string(foreign), own, "null")), ""},
		{"good under sha512", s.simple(payload(ref, app().Alternate, "null")), ""},
		{"untrusted key (B7)", good(other), verify.CodeUntrustedKey},
		{"of image A attached to image B", s.simple(payload(ref, foreign, "null")), verify.CodeDigestMismatch},
		{"of image A attached to image B, under sha512", s.simple(payload(ref, store.DigestOf(digest.SHA512, []byte("another image")), "null")), verify.CodeDigestMismatch},
		{"of image A attached to image B by a stranger", other.simple(payload(ref, foreign, "null")), verify.CodeUntrustedKey},
		{"digest algorithm confusion", s.simple(payload(ref, store.Digest("sha512:"+own.Encoded()), "null")), verify.CodeMalformed},
		{"upper-case digest", s.simple(payload(ref, store.Digest("sha256:"+strings.ToUpper(own.Encoded())), "null")), verify.CodeMalformed},
		{"same digest in another repository (B6)", s.simple(payload("registry.example:5000/dev/app", own, "null")), verify.CodeOtherRepository},
		{"prefix of the repository", s.simple(payload("registry.example:5000/acme", own, "null")), verify.CodeOtherRepository},
		{"longer than the repository", s.simple(payload("registry.example:5000/acme/app/x", own, "null")), verify.CodeOtherRepository},
		{"no repository", s.simple(payload("", own, "null")), verify.CodeOtherRepository},
		{"host alone", s.simple(payload("registry.example:5000", own, "null")), verify.CodeOtherRepository},
		{"both are another", s.simple(payload("registry.example:5000/dev/app", foreign, "null")), verify.CodeOtherRepository},
		{"garbage in .sig (B4)", garbage("Z2FyYmFnZQ=="), verify.CodeInvalid},
		{"not base64", garbage("*"), verify.CodeInvalid},
		{"empty signature", garbage(""), verify.CodeMalformed},
		{"one byte", garbage("AA=="), verify.CodeInvalid},
		{"signature of 1 MiB", garbage(strings.Repeat("AAAA", 1<<18)), verify.CodeInvalid},
		{"signature in lines", with(good(s), verify.AnnotationSignature, base64.StdEncoding.EncodeToString(s.sign(good(s).Bytes))+"\n"), ""},
		{"signature in 9,000 lines", with(good(s), verify.AnnotationSignature, base64.StdEncoding.EncodeToString(s.sign(good(s).Bytes))+strings.Repeat("\n", 9000)), verify.CodeInvalid},
		{"signature over another payload", with(good(s), verify.AnnotationSignature, base64.StdEncoding.EncodeToString(s.sign([]byte("x")))), verify.CodeUntrustedKey},
		{"no annotation", layer(verify.TypeSimpleSigning, payload(ref, own, "null"), nil), verify.CodeMalformed},
		{"empty payload (B5)", signed(``), verify.CodeMalformed},
		{"null payload", signed(`null`), verify.CodeMalformed},
		{"array payload", signed(`[]`), verify.CodeMalformed},
		{"null subject", signed(`{"critical":{"identity":{"docker-reference":"a/acme/app"},"image":null,"type":"cosign container image signature"}}`), verify.CodeMalformed},
		{"empty subject", signed(`{"critical":{"identity":{"docker-reference":"a/acme/app"},"image":{},"type":"cosign container image signature"}}`), verify.CodeMalformed},
		{"null critical", signed(`{"critical":null}`), verify.CodeMalformed},
		{"another type", signed(strings.Replace(string(payload(ref, own, "null")), "cosign container", "atomic container", 1)), verify.CodeMalformed},
		{"unknown critical member", signed(strings.Replace(string(payload(ref, own, "null")), `"type"`, `"expires":1,"type"`, 1)), verify.CodeMalformed},
		{"unknown image member", signed(strings.Replace(string(payload(ref, own, "null")), `"image":{`, `"image":{"platform":1,`, 1)), verify.CodeMalformed},
		{"duplicate key", signed(strings.Replace(string(payload(ref, foreign, "null")), `"image":{`, `"image":{"docker-manifest-digest":"`+string(own)+`",`, 1)), verify.CodeMalformed},
		{"key in another case", signed(strings.Replace(string(payload(ref, own, "null")), `"optional"`, `"Critical":null,"optional"`, 1)), verify.CodeMalformed},
		{"trailing data", signed(string(payload(ref, own, "null")) + "{}"), verify.CodeMalformed},
		{"not UTF-8", signed(strings.Replace(string(payload(ref, own, "null")), "acme", "acm\xff", 1)), verify.CodeMalformed},
		{"deep nesting", signed(strings.Replace(string(payload(ref, own, "null")), "null", strings.Repeat("[", 10000)+strings.Repeat("]", 10000), 1)), verify.CodeMalformed},
		{"wrong JSON type", signed(strings.Replace(string(payload(ref, own, "null")), "null", "7", 1)), verify.CodeMalformed},
		{"payload of more than 1 MiB", s.simple(payload(ref, own, `{"a":"`+strings.Repeat("x", verify.MaxPayload)+`"}`)), verify.CodeTooBig},
		{`Rekor bundle with "body": 1`, with(good(s), "dev.sigstore.cosign/bundle", `{"SignedEntryTimestamp":"","Payload":{"body":1,"integratedTime":0,"logIndex":0,"logID":""}}`), ""},
		{"Rekor entry of another artifact or key", with(good(other), "dev.sigstore.cosign/bundle", `{"SignedEntryTimestamp":"AA==","Payload":{"body":"e30=","integratedTime":1,"logIndex":1,"logID":"00"}}`), verify.CodeUntrustedKey},
		{"certificate and key both present and different", with(good(s), verify.AnnotationCertificate, "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"), ""},
		{"certificate, by a stranger", with(good(other), verify.AnnotationCertificate, "not even PEM"), verify.CodeUnsupported},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := one(t, app(), c.layer, release(s.key))
			want(t, f, c.code)
			if f.Scheme != verify.SchemeCosign || f.Kind != verify.KindSignature || f.Found != verify.FoundTag {
				t.Errorf("the fact is of another kind: %+v", f)
			}
			known := slices.Contains([]verify.Code{"", verify.CodeDigestMismatch, verify.CodeOtherRepository}, f.Code)
			if known != (f.KeyID == s.key.ID) {
				t.Errorf("key %q with code %q", f.KeyID, f.Code)
			}
		})
	}
}

func TestDescriptorMustNameTheBytes(t *testing.T) {
	s := p256(t, "signer")
	otherBytes, size, noDigest := good(s), good(s), good(s)
	otherBytes.Bytes = s.simple(payload("registry.example:5000/acme/apq", app().Descriptor.Digest, "null")).Bytes
	size.Size++
	noDigest.Digest = ""
	for name, l := range map[string]verify.Layer{"bytes": otherBytes, "size": size, "no digest": noDigest} {
		t.Run(name, func(t *testing.T) { want(t, one(t, app(), l, release(s.key)), verify.CodeMalformed) })
	}
}

func TestSignedAnnotations(t *testing.T) {
	s := p256(t, "signer")
	l := with(s.simple(payload("r.example/acme/app:v2", app().Descriptor.Digest, `{"commit":"abc","timestamp":12}`)), "unsigned", "x")
	f := one(t, app(), l, release(s.key))
	want(t, f, "")
	if !maps.Equal(f.Annotations, map[string]string{"commit": "abc"}) {
		t.Errorf("got annotations %v", f.Annotations)
	}
	if f.ClaimedReference != "r.example/acme/app:v2" {
		t.Errorf("got reference %q", f.ClaimedReference)
	}
}

func TestRepositoryBinding(t *testing.T) {
	s := p256(t, "signer")
	dev := s.simple(payload("registry.example:5000/acme/dev/app:v1", app().Descriptor.Digest, "null"))
	a := release(s.key)
	want(t, one(t, app(), dev, a), verify.CodeOtherRepository)
	a.PromoteFrom = store.Globs{"acme/dev/**"}
	want(t, one(t, app(), dev, a), "")
	a.PromoteFrom = store.Globs{"acme/test/**"}
	want(t, one(t, app(), dev, a), verify.CodeOtherRepository)
	a.Binding = verify.BindingRepository
	want(t, one(t, app(), dev, a), verify.CodeOtherRepository)
	a.Binding = verify.BindingNone
	want(t, one(t, app(), dev, a), "")
	want(t, one(t, app(), s.simple(payload("", app().Descriptor.Digest, "null")), a), "")
}

// One good signature counts wherever it stands among bad ones, and each bad one has its own fact.
func TestOneGoodAmongManyBadInAnyOrder(t *testing.T) {
	s, other := p256(t, "signer"), p256(t, "other")
	bad := []verify.Layer{
		good(other),
		s.simple(payload("r.example/dev/app", app().Descriptor.Digest, "null")),
		s.simple([]byte(`{`)),
		with(good(s), verify.AnnotationSignature, "Z2FyYmFnZQ=="),
		layer(verify.TypeDSSE, []byte(`null`), nil),
		layer(verify.TypeBundle, []byte(`{}`), nil),
		layer("application/spdx+json", []byte(`{}`), nil),
	}
	for at := range len(bad) + 1 {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			facts := check(t, app(), evidence(slices.Insert(slices.Clone(bad), at, good(s))...), release(s.key))
			if len(facts) != len(bad)+1 {
				t.Fatalf("got %d facts", len(facts))
			}
			for i, f := range facts {
				if f.Verified != (i == at) {
					t.Errorf("fact %d: verified is %v (%s)", i, f.Verified, f.Message)
				}
			}
		})
	}
}

func TestOneGoodAmongBadManifestsInAnyOrder(t *testing.T) {
	s, other := p256(t, "signer"), p256(t, "other")
	for at := range 3 {
		all := slices.Insert([]verify.Evidence{evidence(good(other))[0], {Manifest: store.Descriptor{Digest: "sha256:00"}}}, at, evidence(good(s))[0])
		facts := check(t, app(), all, release(s.key))
		if n := len(slices.DeleteFunc(facts, func(f verify.Fact) bool { return !f.Verified })); n != 1 {
			t.Errorf("at %d: %d proven facts", at, n)
		}
	}
}

func TestKeyWindowAndRevocation(t *testing.T) {
	s := p256(t, "signer")
	k := s.key
	k.NotBefore, k.NotAfter = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
	f := one(t, app(), good(s), release(k))
	want(t, f, "")
	if !f.ValidFrom.Equal(k.NotBefore) || !f.ValidUntil.Equal(k.NotAfter) {
		t.Errorf("got window %v to %v", f.ValidFrom, f.ValidUntil)
	}
	want(t, f.At(k.NotBefore.Add(-time.Second)), verify.CodeKeyExpired)
	want(t, f.At(k.NotBefore), "")
	want(t, f.At(k.NotAfter), verify.CodeKeyExpired)

	k.Revoked = true
	revoked := one(t, app(), good(s), release(k))
	want(t, revoked, verify.CodeRevokedKey)
	if revoked.KeyID != k.ID {
		t.Errorf("the refusal names key %q", revoked.KeyID)
	}
	// A revoked key tells more than that its signature is also for something else.
	want(t, one(t, app(), s.simple(payload("r.example/dev/app", store.DigestOf(digest.SHA256, nil), "null")), release(k)), verify.CodeRevokedKey)
	// A stranger's signature is not the revoked key's.
	want(t, one(t, app(), good(p256(t, "other")), release(k)), verify.CodeUntrustedKey)
}

func TestAuthorities(t *testing.T) {
	s, other := p256(t, "signer"), p256(t, "other")
	named := func(name string, glob store.Glob, keys ...verify.Key) verify.Authority {
		a := release(keys...)
		a.Name, a.Repositories = name, store.Globs{glob}
		return a
	}
	revoked := s.key
	revoked.Revoked = true
	keyless := verify.Authority{Name: "keyless", Kind: "sigstore", Repositories: store.Globs{"**"}}
	cases := []struct {
		name        string
		authorities []verify.Authority
		code        verify.Code
		by          []string // authorities of the proven facts
	}{
		{"none", nil, verify.CodeNoAuthority, nil},
		{"none covers (B7)", []verify.Authority{named("a", "other/**", s.key)}, verify.CodeNoAuthority, nil},
		{"of another kind", []verify.Authority{keyless}, verify.CodeUntrustedKey, nil},
		{"one of two covers, with another key (B7)", []verify.Authority{named("a", "other/**", s.key), named("b", "acme/**", other.key)}, verify.CodeUntrustedKey, nil},
		{"second knows it", []verify.Authority{named("a", "**", other.key), named("b", "acme/**", s.key)}, "", []string{"b"}},
		{"both know it", []verify.Authority{named("a", "**", s.key), named("b", "acme/**", s.key)}, "", []string{"a", "b"}},
		{"second key", []verify.Authority{named("a", "**", other.key, s.key)}, "", []string{"a"}},
		{"revoked in one, trusted in another", []verify.Authority{named("a", "**", revoked), named("b", "**", s.key)}, "", []string{"b"}},
		{"revoked in one, unknown in others", []verify.Authority{named("a", "**", other.key), named("b", "**", revoked), named("c", "**", other.key)}, verify.CodeRevokedKey, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			facts := check(t, app(), evidence(good(s)), c.authorities...)
			var by []string
			for _, f := range facts {
				want(t, f, c.code)
				if f.Verified {
					by = append(by, f.Authority)
				}
			}
			if !slices.Equal(by, c.by) || c.code != "" && len(facts) != 1 {
				t.Errorf("got %d facts, proven by %v", len(facts), by)
			}
		})
	}
}

// A threshold counts distinct keys: both facts of one key show that they are one.
func TestThresholdMetTwiceByOneKeyIsVisible(t *testing.T) {
	s := p256(t, "signer")
	again := s.simple(payload("registry.example:5000/acme/app", app().Descriptor.Digest, `{"n":"2"}`))
	facts := check(t, app(), evidence(good(s), again), release(s.key))
	if len(facts) != 2 || !facts[0].Verified || !facts[1].Verified || facts[0].KeyID != facts[1].KeyID {
		t.Errorf("got %+v", facts)
	}
}

func TestLayerLimit(t *testing.T) {
	s, other := p256(t, "signer"), p256(t, "other")
	layers := slices.Repeat([]verify.Layer{good(other)}, verify.MaxLayers-1)
	facts := check(t, app(), evidence(append(slices.Clone(layers), good(s))...), release(s.key))
	if len(facts) != verify.MaxLayers || !facts[verify.MaxLayers-1].Verified {
		t.Fatalf("the last of %d layers is read: %d facts", verify.MaxLayers, len(facts))
	}
	facts = check(t, app(), evidence(append(layers, good(other), good(s), good(s))...), release(s.key))
	if len(facts) != verify.MaxLayers+1 {
		t.Fatalf("got %d facts", len(facts))
	}
	want(t, facts[verify.MaxLayers], verify.CodeTooBig)
}

// Index signed, child pulled: evidence is about the parent, so it is verified with the parent as subject and marked. With the child as subject it proves nothing.
func TestIndexSignedChildPulledAndTheReverse(t *testing.T) {
	s := p256(t, "signer")
	index := []byte(`{"schemaVersion":2,"manifests":[]}`)
	parent, child := subjectOf("acme/app", index), app()
	e := evidence(s.simple(payload("r.example/acme/app", parent.Descriptor.Digest, "null")))
	e[0].InheritedFrom = parent.Descriptor.Digest
	f := check(t, parent, e, release(s.key))[0]
	want(t, f, "")
	if f.InheritedFrom != parent.Descriptor.Digest {
		t.Error("the mark is lost")
	}
	want(t, check(t, child, e, release(s.key))[0], verify.CodeDigestMismatch)
	want(t, one(t, parent, good(s), release(s.key)), verify.CodeDigestMismatch)
}
