package sigstore

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/opencontainers/go-digest"
)

const vulnerability = "https://cosign.sigstore.dev/attestation/vuln/v1"

// statements are the cases of what is signed: the same for a bare envelope and a bundle.
var statements = []struct {
	name string
	body func(own, alternate, foreign store.Digest) []byte
	code verify.Code
}{
	{"good", func(own, _, _ store.Digest) []byte { return statement(vulnerability, `{"a":1}`, own) }, ""},
	{"v0.1", func(own, _, _ store.Digest) []byte {
		return bytes.Replace(statement(vulnerability, `{"a":1}`, own), []byte("/v1\""), []byte("/v0.1\""), 1)
	}, ""},
	{"predicate is a text", func(own, _, _ store.Digest) []byte {
		return statement("https://spdx.dev/Document", `"SPDXVersion: 2.3"`, own)
	}, ""},
	{"two subjects, first (B11)", func(own, _, foreign store.Digest) []byte { return statement(vulnerability, `{"a":1}`, own, foreign) }, ""},
	{"two subjects, second (B11)", func(own, _, foreign store.Digest) []byte { return statement(vulnerability, `{"a":1}`, foreign, own) }, ""},
	{"digest under sha512 only (B11)", func(_, alternate, _ store.Digest) []byte { return statement(vulnerability, `{"a":1}`, alternate) }, ""},
	{"both algorithms", func(own, alternate, _ store.Digest) []byte {
		return fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":%q,"sha512":%q,"gitCommit":"x"}}],"predicateType":"p","predicate":{"a":1}}`,
			own.Encoded(), alternate.Encoded())
	}, ""},
	{"algorithms that contradict each other", func(own, _, foreign store.Digest) []byte {
		return fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":%q,"sha512":%q}}],"predicateType":"p","predicate":{"a":1}}`,
			own.Encoded(), strings.Repeat(foreign.Encoded(), 2))
	}, verify.CodeDigestMismatch},
	{"digest algorithm confusion", func(own, _, _ store.Digest) []byte {
		return statement(vulnerability, `{"a":1}`, store.Digest("sha512:"+own.Encoded()))
	}, verify.CodeDigestMismatch},
	{"upper-case digest", func(own, _, _ store.Digest) []byte {
		return statement(vulnerability, `{"a":1}`, store.Digest("sha256:"+strings.ToUpper(own.Encoded())))
	}, verify.CodeDigestMismatch},
	{"upper-case algorithm", func(own, _, _ store.Digest) []byte {
		return statement(vulnerability, `{"a":1}`, store.Digest("SHA256:"+own.Encoded()))
	}, verify.CodeDigestMismatch},
	{"of image A attached to image B", func(_, _, foreign store.Digest) []byte { return statement(vulnerability, `{"a":1}`, foreign) }, verify.CodeDigestMismatch},
	{"digest as the name of a subject", func(own, _, foreign store.Digest) []byte {
		return bytes.Replace(statement(vulnerability, `{"a":1}`, foreign), []byte(`"image"`), []byte(`"`+string(own)+`"`), 1)
	}, verify.CodeDigestMismatch},
	{"no subjects", func(_, _, _ store.Digest) []byte { return statement(vulnerability, `{"a":1}`) }, verify.CodeMalformed},
	{"subject null", func(_, _, _ store.Digest) []byte {
		return []byte(`{"_type":"https://in-toto.io/Statement/v1","subject":null,"predicateType":"p","predicate":{"a":1}}`)
	}, verify.CodeMalformed},
	{"null subject", func(_, _, _ store.Digest) []byte {
		return []byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[null],"predicateType":"p","predicate":{"a":1}}`)
	}, verify.CodeMalformed},
	{"empty subject", func(_, _, _ store.Digest) []byte {
		return []byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{}],"predicateType":"p","predicate":{"a":1}}`)
	}, verify.CodeMalformed},
	{"null digest", func(_, _, _ store.Digest) []byte {
		return []byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":null}}],"predicateType":"p","predicate":{"a":1}}`)
	}, verify.CodeDigestMismatch},
	{"predicate type empty (B10)", func(own, _, _ store.Digest) []byte { return statement("", `{"a":1}`, own) }, verify.CodeMalformed},
	{"predicate empty (B10)", func(own, _, _ store.Digest) []byte { return statement(vulnerability, ` { } `, own) }, verify.CodeMalformed},
	{"predicate null (B10)", func(own, _, _ store.Digest) []byte { return statement(vulnerability, `null`, own) }, verify.CodeMalformed},
	{"predicate absent (B10)", func(own, _, _ store.Digest) []byte {
		return bytes.Replace(statement(vulnerability, `1`, own), []byte(`,"predicate":1`), nil, 1)
	}, verify.CodeMalformed},
	{"payload unparsable (B10)", func(_, _, _ store.Digest) []byte { return []byte(`{"_type"`) }, verify.CodeMalformed},
	{"payload null", func(_, _, _ store.Digest) []byte { return []byte(`null`) }, verify.CodeMalformed},
	{"payload empty", func(_, _, _ store.Digest) []byte { return nil }, verify.CodeMalformed},
	{"another statement type", func(own, _, _ store.Digest) []byte {
		return bytes.Replace(statement(vulnerability, `{"a":1}`, own), []byte("/v1\""), []byte("/v2\""), 1)
	}, verify.CodeMalformed},
	{"subject twice", func(own, _, foreign store.Digest) []byte {
		return fmt.Appendf(nil, `{"subject":[{"digest":{"sha256":%q}}],%s`, own.Encoded(), statement(vulnerability, `{"a":1}`, foreign)[1:])
	}, verify.CodeMalformed},
	{"subject in another case", func(own, _, foreign store.Digest) []byte {
		return fmt.Appendf(nil, `{"Subject":[{"digest":{"sha256":%q}}],%s`, own.Encoded(), statement(vulnerability, `{"a":1}`, foreign)[1:])
	}, verify.CodeMalformed},
	{"too many subjects", func(own, _, _ store.Digest) []byte {
		digests := make([]store.Digest, verify.MaxSubjects+1)
		for i := range digests {
			digests[i] = own
		}
		return statement(vulnerability, `{"a":1}`, digests...)
	}, verify.CodeMalformed},
}

func TestStatements(t *testing.T) {
	s := p256(t, "signer")
	foreign := store.DigestOf(digest.SHA256, []byte("another image"))
	for _, c := range statements {
		body := c.body(app().Descriptor.Digest, app().Alternate, foreign)
		for format, l := range map[string]verify.Layer{"envelope": s.dsse(body), "bundle": s.bundle(verify.TypeBundle, body)} {
			t.Run(c.name+"/"+format, func(t *testing.T) {
				f := one(t, app(), l, release(s.key))
				want(t, f, c.code)
				if f.Kind != verify.KindAttestation || f.Verified && f.PredicateType == "" {
					t.Errorf("got %+v", f)
				}
			})
		}
	}
}

// Vulnerability reports signed by the key that signs images are no signatures; and what a plain signature says in a bare envelope is an attestation.
func TestWrongPredicateTypeIsNoSignature(t *testing.T) {
	s := p256(t, "signer")
	sign := statement(verify.PredicateCosignSign, "{}", app().Descriptor.Digest)
	report := statement(vulnerability, `{"a":1}`, app().Descriptor.Digest)
	without := bytes.Replace(sign, []byte(`,"predicate":{}`), nil, 1)
	for _, c := range []struct {
		name  string
		layer verify.Layer
		kind  verify.FactKind
	}{
		{"bundle with sign/v1", s.bundle(verify.TypeBundle, sign), verify.KindSignature},
		{"bundle with sign/v1 and no predicate", s.bundle(verify.TypeBundle, without), verify.KindSignature},
		{"bundle with a report", s.bundle(verify.TypeBundle, report), verify.KindAttestation},
		{"envelope with sign/v1", s.dsse(sign), verify.KindAttestation},
		{"annotation says signature", with(s.bundle(verify.TypeBundle, report), "dev.sigstore.bundle.predicateType", verify.PredicateCosignSign), verify.KindAttestation},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := one(t, app(), c.layer, release(s.key))
			want(t, f, "")
			if f.Kind != c.kind {
				t.Errorf("it is a %s, want %s", f.Kind, c.kind)
			}
		})
	}
}

func TestEnvelopes(t *testing.T) {
	s, other := p256(t, "signer"), p256(t, "other")
	st := statement(vulnerability, `{"a":1}`, app().Descriptor.Digest)
	raw := func(b string) verify.Layer { return layer(verify.TypeDSSE, []byte(b), nil) }
	good := string(envelope(verify.TypeInToto, st, s))
	payload64, sig64 := base64.StdEncoding.EncodeToString(st), base64.StdEncoding.EncodeToString(s.sign(verify.PAE(verify.TypeInToto, st)))
	urlSafe := fmt.Sprintf(`{"payloadType":"application/vnd.in-toto+json","payload":%q,"signatures":[{"sig":%q}]}`,
		base64.URLEncoding.EncodeToString(st), base64.URLEncoding.EncodeToString(s.sign(verify.PAE(verify.TypeInToto, st))))
	hinted := func(keyid, sig string) verify.Layer {
		return raw(fmt.Sprintf(`{"payloadType":"application/vnd.in-toto+json","payload":%q,"signatures":[{"keyid":%q,"sig":%q}]}`, payload64, keyid, sig))
	}
	stranger := base64.StdEncoding.EncodeToString(other.sign(verify.PAE(verify.TypeInToto, st)))
	cases := []struct {
		name  string
		layer verify.Layer
		code  verify.Code
	}{
		{"good", raw(good), ""},
		{"URL-safe base64", raw(urlSafe), ""},
		{"two signatures, first valid (B11)", layer(verify.TypeDSSE, envelope(verify.TypeInToto, st, s, other), nil), ""},
		{"two signatures, second valid (B11)", layer(verify.TypeDSSE, envelope(verify.TypeInToto, st, other, s), nil), ""},
		{"two signatures, none valid", layer(verify.TypeDSSE, envelope(verify.TypeInToto, st, other, other), nil), verify.CodeUntrustedKey},
		{"payload type swapped after signing (B11)", raw(strings.Replace(good, "vnd.in-toto+json", "vnd.other+json", 1)), verify.CodePayloadType},
		{"payload type swapped to in-toto (B11)", raw(strings.Replace(string(envelope("application/vnd.other+json", st, s)), "vnd.other+json", "vnd.in-toto+json", 1)), verify.CodeUntrustedKey},
		{"another payload type, signed", layer(verify.TypeDSSE, envelope("application/json", st, s), nil), verify.CodePayloadType},
		{"no payload type", raw(strings.Replace(good, `"payloadType":"application/vnd.in-toto+json",`, "", 1)), verify.CodePayloadType},
		{"signature over the payload alone", raw(strings.Replace(good, sig64, base64.StdEncoding.EncodeToString(s.sign(st)), 1)), verify.CodeUntrustedKey},
		{"key ID of a stranger", hinted("somebody", sig64), ""},
		{"key ID of the trusted key, signature of a stranger", hinted(s.key.ID, stranger), verify.CodeInvalid},
		{"hint of the trusted key, signature of a stranger", hinted(hintOf(s.key.ID), stranger), verify.CodeInvalid},
		{"garbage signature", hinted("", "Z2FyYmFnZQ=="), verify.CodeInvalid},
		{"nil DSSE", raw(`null`), verify.CodeMalformed},
		{"empty", raw(``), verify.CodeMalformed},
		{"no object", raw(`[]`), verify.CodeMalformed},
		{"empty object", raw(`{}`), verify.CodeMalformed},
		{"null payload", raw(strings.Replace(good, `"`+payload64+`"`, `null`, 1)), verify.CodeMalformed},
		{"no signatures", raw(string(envelope(verify.TypeInToto, st))), verify.CodeMalformed},
		{"null signature", raw(fmt.Sprintf(`{"payloadType":"application/vnd.in-toto+json","payload":%q,"signatures":[null]}`, payload64)), verify.CodeMalformed},
		{"empty signature", hinted("", ""), verify.CodeMalformed},
		{"signature not base64", hinted("", "*"), verify.CodeMalformed},
		{"payload not base64", raw(strings.Replace(good, payload64, "*", 1)), verify.CodeMalformed},
		{"17 signatures", layer(verify.TypeDSSE, envelope(verify.TypeInToto, st, make17(s)...), nil), verify.CodeMalformed},
		{"duplicate key", raw(strings.Replace(good, `{"payloadType"`, `{"payload":"","payloadType"`, 1)), verify.CodeMalformed},
		{"trailing data", raw(good + `{}`), verify.CodeMalformed},
		{"certificate, by a stranger", with(other.dsse(st), verify.AnnotationCertificate, "x"), verify.CodeUnsupported},
		{"certificate and key both present and different", with(s.dsse(st), verify.AnnotationCertificate, "x"), ""},
		{"of more than 16 MiB", raw(good + strings.Repeat(" ", verify.MaxAttestation)), verify.CodeTooBig},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := one(t, app(), c.layer, release(s.key))
			want(t, f, c.code)
			if f.Scheme != verify.SchemeDSSE {
				t.Errorf("the scheme is %s", f.Scheme)
			}
		})
	}
}

func make17(s signer) []signer {
	all := make([]signer, verify.MaxSignatures+1)
	for i := range all {
		all[i] = s
	}
	return all
}

// An envelope that two keys of one authority signed makes one fact, of the key that counts longest; a revoked one among them does no harm.
func TestTwoKeysOfOneAuthority(t *testing.T) {
	first, second := p256(t, "first"), p256(t, "second")
	l := layer(verify.TypeDSSE, envelope(verify.TypeInToto, statement(vulnerability, `{"a":1}`, app().Descriptor.Digest), first, second), nil)
	limited := first.key
	limited.NotAfter = time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
	later := first.key
	later.NotBefore = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, worse := range []verify.Key{limited, later} {
		for _, keys := range [][]verify.Key{{worse, second.key}, {second.key, worse}} {
			if f := one(t, app(), l, release(keys...)); f.KeyID != second.key.ID || !f.ValidUntil.IsZero() || !f.ValidFrom.IsZero() {
				t.Errorf("got %+v", f)
			}
		}
	}
	limited.Revoked = true
	for _, keys := range [][]verify.Key{{limited, second.key}, {second.key, limited}} {
		if f := one(t, app(), l, release(keys...)); !f.Verified || f.KeyID != second.key.ID {
			t.Errorf("got %+v", f)
		}
	}
}

func TestBundles(t *testing.T) {
	s, other := p256(t, "signer"), p256(t, "other")
	st := statement(verify.PredicateCosignSign, "{}", app().Descriptor.Digest)
	raw := func(b string) verify.Layer { return layer(verify.TypeBundle, []byte(b), nil) }
	good := string(s.bundle(verify.TypeBundle, st).Bytes)
	swap := func(old, new string) verify.Layer {
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in the bundle", old)
		}
		return raw(strings.Replace(good, old, new, 1))
	}
	hint := fmt.Sprintf(`{"publicKey":{"hint":%q}}`, hintOf(s.key.ID))
	stranger := string(envelope(verify.TypeInToto, st, other))
	sum256, sum384, sum512 := sha256.Sum256(image), sha512.Sum384(image), sha512.Sum512(image)
	foreign := sha256.Sum256([]byte("another image"))
	cases := []struct {
		name  string
		layer verify.Layer
		code  verify.Code
	}{
		{"v0.3", raw(good), ""},
		{"v0.1", s.bundle("application/vnd.dev.sigstore.bundle+json;version=0.1", st), ""},
		{"v0.2", s.bundle("application/vnd.dev.sigstore.bundle+json;version=0.2", st), ""},
		{"v0.3 in the old form", s.bundle("application/vnd.dev.sigstore.bundle+json;version=0.3", st), ""},
		{"v0.4", s.bundle("application/vnd.dev.sigstore.bundle.v0.4+json", st), verify.CodeMalformed},
		{"no version", s.bundle("", st), verify.CodeMalformed},
		{"untrusted key", other.bundle(verify.TypeBundle, st), verify.CodeUntrustedKey},
		{"untrusted key, hint of the trusted one", raw(string(s.bundleJSON(verify.TypeBundle, `"dsseEnvelope":`+stranger))), verify.CodeInvalid},
		{"trusted key, hint of another", swap(hintOf(s.key.ID), "whoever"), ""},
		{"no hint", swap(hint, `{"publicKey":{}}`), ""},
		{"foreign key ID in the envelope", swap(`"keyid":""`, `"keyid":"SHA256:abc"`), ""},
		{"payload type swapped", swap("vnd.in-toto+json", "vnd.other+json"), verify.CodePayloadType},
		{"two signatures", raw(string(s.bundleJSON(verify.TypeBundle, `"dsseEnvelope":`+string(envelope(verify.TypeInToto, st, s, s))))), verify.CodeMalformed},
		{"no signatures", raw(string(s.bundleJSON(verify.TypeBundle, `"dsseEnvelope":`+string(envelope(verify.TypeInToto, st))))), verify.CodeMalformed},
		{"nil DSSE", raw(string(s.bundleJSON(verify.TypeBundle, `"dsseEnvelope":null`))), verify.CodeMalformed},
		{"empty DSSE", raw(string(s.bundleJSON(verify.TypeBundle, `"dsseEnvelope":{}`))), verify.CodeMalformed},
		{"no content", raw(fmt.Sprintf(`{"mediaType":%q,"verificationMaterial":%s}`, verify.TypeBundle, hint)), verify.CodeMalformed},
		{"two contents", raw(string(s.bundleJSON(verify.TypeBundle, `"dsseEnvelope":`+stranger+`,"messageSignature":{}`))), verify.CodeMalformed},
		{"no verification material", swap(hint, `null`), verify.CodeMalformed},
		{"empty verification material", swap(hint, `{}`), verify.CodeMalformed},
		{"signed with a certificate", swap(hint, `{"certificate":{"rawBytes":"AAAA"}}`), verify.CodeUnsupported},
		{"signed with a certificate chain (v0.2)", raw(strings.Replace(string(s.bundle("application/vnd.dev.sigstore.bundle+json;version=0.2", st).Bytes), hint, `{"x509CertificateChain":{"certificates":[{"rawBytes":"AAAA"}]}}`, 1)), verify.CodeUnsupported},
		{"certificate and key both present", swap(hint, `{"publicKey":{"hint":"x"},"certificate":{"rawBytes":"AAAA"}}`), verify.CodeMalformed},
		{"without inclusion proof", swap(`"publicKey":`, `"tlogEntries":[{"logIndex":"1","logId":{"keyId":"AA=="},"kindVersion":{"kind":"dsse","version":"0.0.1"},"integratedTime":"1","canonicalizedBody":"e30="}],"publicKey":`), verify.CodeMalformed},
		{`log entry "body": 1`, swap(`"publicKey":`, `"tlogEntries":[{"canonicalizedBody":1}],"publicKey":`), verify.CodeMalformed},
		{"null log entry", swap(`"publicKey":`, `"tlogEntries":[null],"publicKey":`), verify.CodeMalformed},
		{"empty log entry", swap(`"publicKey":`, `"tlogEntries":[{}],"publicKey":`), verify.CodeMalformed},
		{"timestamp that is none", swap(`"publicKey":`, `"timestampVerificationData":{"rfc3161Timestamps":[{"signedTimestamp":"AAAA"}]},"publicKey":`), ""},
		{"unknown field", swap(`"mediaType"`, `"x":1,"mediaType"`), verify.CodeMalformed},
		{"duplicate key", swap(`"mediaType"`, `"mediaType":"x","mediaType"`), verify.CodeMalformed},
		{"trailing data", raw(good + "{}"), verify.CodeMalformed},
		{"empty", raw(""), verify.CodeMalformed},
		{"null", raw("null"), verify.CodeMalformed},
		{"empty object", raw("{}"), verify.CodeMalformed},
		{"garbage signature", raw(string(s.bundleJSON(verify.TypeBundle, fmt.Sprintf(`"dsseEnvelope":{"payloadType":"application/vnd.in-toto+json","payload":%q,"signatures":[{"sig":"AAAA"}]}`, base64.StdEncoding.EncodeToString(st))))), verify.CodeInvalid},
		{"message signature", s.messageBundle("SHA2_256", sum256[:], image), ""},
		{"message signature, endless number", raw(strings.Replace(string(s.messageBundle("SHA2_256", sum256[:], image).Bytes), `"SHA2_256"`, "1."+strings.Repeat("0", 200), 1)), verify.CodeMalformed},
		{"message signature, algorithm by number", raw(strings.Replace(string(s.messageBundle("SHA2_256", sum256[:], image).Bytes), `"SHA2_256"`, "1.0", 1)), ""},
		{"message signature of another image", s.messageBundle("SHA2_256", foreign[:], []byte("another image")), verify.CodeDigestMismatch},
		{"message signature by a stranger", other.messageBundle("SHA2_256", sum256[:], image), verify.CodeUntrustedKey},
		{"message signature with another message's digest", s.messageBundle("SHA2_256", sum256[:], []byte("another image")), verify.CodeInvalid},
		{"message signature, digest of another length", s.messageBundle("SHA2_256", sum256[:31], image), verify.CodeMalformed},
		{"message signature, unknown algorithm", s.messageBundle("SHA3_256", sum256[:], image), verify.CodeMalformed},
		{"message signature under SHA-512, key under SHA-256", s.messageBundle("SHA2_512", sum512[:], image), verify.CodeUnsupported},
		{"message signature under SHA-384, key under SHA-256", s.messageBundle("SHA2_384", sum384[:], image), verify.CodeUnsupported},
		{"null message signature", raw(string(s.bundleJSON(verify.TypeBundle, `"messageSignature":null`))), verify.CodeMalformed},
		{"empty message signature", raw(string(s.bundleJSON(verify.TypeBundle, `"messageSignature":{}`))), verify.CodeMalformed},
		{"message signature without a signature", raw(string(s.bundleJSON(verify.TypeBundle, fmt.Sprintf(`"messageSignature":{"messageDigest":{"algorithm":"SHA2_256","digest":%q}}`, base64.StdEncoding.EncodeToString(sum256[:]))))), verify.CodeInvalid},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := one(t, app(), c.layer, release(s.key))
			want(t, f, c.code)
			if f.Scheme != verify.SchemeBundle || f.Verified && f.Kind != verify.KindSignature {
				t.Errorf("got %+v", f)
			}
		})
	}
}

// A signature of the manifest's bytes is checked by its digest alone. Keys that need another digest than is known, or the bytes themselves, say so;
// above all, Ed25519 never takes the digest, or no message at all, for the message.
func TestMessageSignaturesByKeyType(t *testing.T) {
	sum256, sum512 := sha256.Sum256(image), sha512.Sum512(image)
	pure := ed25519Signer(t, "d", false)
	for _, c := range []struct {
		name  string
		key   signer
		layer func(s signer) verify.Layer
		code  verify.Code
	}{
		{"P-384 over SHA-256", ecdsaSigner(t, elliptic.P384(), "b", crypto.SHA256), func(s signer) verify.Layer { return s.messageBundle("SHA2_256", sum256[:], image) }, ""},
		{"P-521 over SHA-512", ecdsaSigner(t, elliptic.P521(), "c", crypto.SHA512), func(s signer) verify.Layer { return s.messageBundle("SHA2_512", sum512[:], image) }, ""},
		{"RSA", rsaSigner(t, crypto.SHA256), func(s signer) verify.Layer { return s.messageBundle("SHA2_256", sum256[:], image) }, ""},
		{"RSA PSS", rsaSigner(t, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}), func(s signer) verify.Layer { return s.messageBundle("SHA2_256", sum256[:], image) }, ""},
		{"Ed25519ph", ed25519Signer(t, "d", true), func(s signer) verify.Layer { return s.messageBundle("SHA2_512", sum512[:], image) }, ""},
		{"Ed25519 over the image", pure, func(s signer) verify.Layer { return s.messageBundle("SHA2_256", sum256[:], image) }, verify.CodeUnsupported},
		{"Ed25519 over the digest", pure, func(s signer) verify.Layer { return s.messageBundle("SHA2_256", sum256[:], sum256[:]) }, verify.CodeUnsupported},
		{"Ed25519 over SHA-512's digest", pure, func(s signer) verify.Layer { return s.messageBundle("SHA2_512", sum512[:], sum512[:]) }, verify.CodeInvalid},
		{"Ed25519 over nothing", pure, func(s signer) verify.Layer { return s.messageBundle("SHA2_512", sum512[:], nil) }, verify.CodeInvalid},
	} {
		t.Run(c.name, func(t *testing.T) { want(t, one(t, app(), c.layer(c.key), release(c.key.key)), c.code) })
	}
}

func TestSignedAnnotationsOfABundle(t *testing.T) {
	s := p256(t, "signer")
	st := fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":%q},"annotations":{"commit":"abc"}}],"predicateType":%q,"predicate":{}}`,
		app().Descriptor.Digest.Encoded(), verify.PredicateCosignSign)
	f := one(t, app(), s.bundle(verify.TypeBundle, st), release(s.key))
	want(t, f, "")
	if len(f.Annotations) != 1 || f.Annotations["commit"] != "abc" {
		t.Errorf("got annotations %v", f.Annotations)
	}
}

func TestUnsignedContent(t *testing.T) {
	st := statement("https://slsa.dev/provenance/v0.2", `{"a":1}`, app().Descriptor.Digest)
	for _, c := range []struct {
		mediaType string
		body      []byte
		kind      verify.FactKind
		code      verify.Code
	}{
		{"text/spdx", []byte("SPDXVersion: SPDX-2.3"), verify.KindDocument, verify.CodeUnsigned},
		{"text/spdx+json", []byte(`{}`), verify.KindDocument, verify.CodeUnsigned},
		{"application/spdx+json", []byte(`{}`), verify.KindDocument, verify.CodeUnsigned},
		{"application/vnd.cyclonedx+json", []byte(`{}`), verify.KindDocument, verify.CodeUnsigned},
		{"application/vnd.syft+json", []byte(`{}`), verify.KindDocument, verify.CodeUnsigned},
		{"application/vnd.oci.empty.v1+json", []byte(`{}`), verify.KindDocument, verify.CodeUnsigned},
		{"application/vnd.in-toto+json", st, verify.KindAttestation, verify.CodeUnsigned},
		{"application/jose+json", []byte(`{}`), verify.KindSignature, verify.CodeUnsupported},
		{"application/cose", []byte{0xd2}, verify.KindSignature, verify.CodeUnsupported},
		{"", nil, verify.KindDocument, verify.CodeUnsigned},
	} {
		t.Run(c.mediaType, func(t *testing.T) {
			f := one(t, app(), layer(c.mediaType, c.body, nil), release(p256(t, "signer").key))
			want(t, f, c.code)
			if f.Kind != c.kind {
				t.Errorf("it is a %s, want %s", f.Kind, c.kind)
			}
		})
	}
	big := layer("text/spdx", bytes.Repeat([]byte(" "), verify.MaxDocument+1), nil)
	want(t, one(t, app(), big, release(p256(t, "signer").key)), verify.CodeTooBig)
}

func TestProvenanceSummary(t *testing.T) {
	s := p256(t, "signer")
	st := statement("https://slsa.dev/provenance/v0.2",
		`{"builder":{"id":"https://ci.example/b"},"buildType":"t","invocation":{"configSource":{"uri":"git+https://git.example/a","digest":{"sha1":"abc"}}}}`, app().Descriptor.Digest)
	f := one(t, app(), s.dsse(st), release(s.key))
	want(t, f, "")
	if f.Summary["builder"] != "https://ci.example/b" || f.Summary["source_digest"] != "sha1:abc" {
		t.Errorf("got summary %v", f.Summary)
	}
	if f := one(t, app(), s.dsse(st), release(p256(t, "other").key)); f.Summary != nil {
		t.Errorf("an unproven fact has the summary %v", f.Summary)
	}
}
