package sigstore

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/opencontainers/go-digest"
)

// FuzzLayer: whatever a layer holds, it yields one fact, no panic, and proves nothing about an image that nobody signed, nor under a key that signed nothing.
func FuzzLayer(f *testing.F) {
	s, stranger := p256(f, "signer"), p256(f, "other")
	own, foreign := app().Descriptor.Digest, store.DigestOf(digest.SHA256, []byte("another image"))
	add := func(l verify.Layer) { f.Add(l.MediaType, l.Bytes, l.Annotations[verify.AnnotationSignature]) }
	add(good(s))
	for _, optional := range []string{"null", `{"a":"b"}`, `{"a":1}`, "7"} {
		add(s.simple(payload("registry.example:5000/acme/app", own, optional)))
	}
	for _, c := range statements {
		body := c.body(own, app().Alternate, foreign)
		if len(body) < 4096 {
			add(s.dsse(body))
			add(s.bundle(verify.TypeBundle, body))
		}
	}
	add(layer(verify.TypeDSSE, envelope(verify.TypeInToto, statement(vulnerability, `{"a":1}`, own), s, stranger), nil))
	add(s.messageBundle("SHA2_256", []byte(strings.Repeat("x", 32)), image))
	for _, mediaType := range []string{verify.TypeSimpleSigning, verify.TypeDSSE, verify.TypeBundle, verify.TypeInToto, "text/spdx"} {
		for _, b := range []string{"", "null", "{}", "[]", `{"body":1}`, `{"critical":null}`, `{"dsseEnvelope":null}`,
			`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"tlogEntries":[null]}}`} {
			f.Add(mediaType, []byte(b), "AAAA")
		}
	}
	v := New(slog.New(slog.DiscardHandler))
	other := subjectOf("acme/app", []byte("an image that nobody signed"))
	f.Fuzz(func(t *testing.T, mediaType string, b []byte, sig string) {
		e := evidence(layer(mediaType, b, map[string]string{verify.AnnotationSignature: sig}))
		for _, c := range []struct {
			subject   verify.Subject
			authority verify.Authority
		}{{app(), release(s.key)}, {other, release(s.key)}, {app(), release(p256(t, "nobody").key)}} {
			report, err := v.Verify(context.Background(), c.subject, e, []verify.Authority{c.authority})
			if err != nil || len(report.Facts) != 1 {
				t.Fatalf("got %v, %v", report, err)
			}
			fact := report.Facts[0]
			if fact.Code == verify.CodeInternal {
				t.Fatal("the verifier panicked")
			}
			if fact.Verified && (c.subject.Descriptor.Digest == other.Descriptor.Digest || c.authority.Keys[0].ID != s.key.ID) {
				t.Fatalf("proven: %+v", fact)
			}
		}
	})
}
