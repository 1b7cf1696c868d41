package notation

import (
	"context"
	"crypto/elliptic"
	"log/slog"
	"testing"
	"time"

	"github.com/assay-registry/assay/verify"
	"github.com/notaryproject/notation-core-go/signature"
)

// FuzzLayer: whatever a layer holds, it yields one fact, no panic, and proves nothing about an image that nobody signed, nor under an authority whose people signed nothing.
func FuzzLayer(f *testing.F) {
	p := newPKI(f, curve(f, elliptic.P256()), nil)
	tsa := newStamper(f, signed)
	for _, mediaType := range []string{typeJWS, typeCOSE} {
		f.Add(mediaType, byCore(f, mediaType, p.leaf, nil).Bytes)
		f.Add(mediaType, byCore(f, mediaType, p.leaf, tsa.stamping).Bytes)
		f.Add(mediaType, byCore(f, mediaType, p.leaf, func(r *signature.SignRequest) {
			r.Expiry = signed.Add(time.Hour)
			r.ExtendedSignedAttributes = []signature.Attribute{{Key: "k", Value: "v", Critical: true}}
		}).Bytes)
		for _, b := range []string{"", "null", "{}", "[]", `{"payload":1}`, `{"payload":"e30","protected":"e30","header":{"x5c":[null]},"signature":"AA"}`, "\xd2\x84\x40\xa0\x40\x40", "\x84\xf6\xf6\xf6\xf6"} {
			f.Add(mediaType, []byte(b))
		}
	}
	stamped, stranger := p.notary(), newPKI(f, curve(f, elliptic.P256()), nil).notary()
	stamped.TimestampRoots = tsa.issuer.pem()
	v := New(slog.New(slog.DiscardHandler))
	other := subjectOf([]byte("an image that nobody signed"))
	f.Fuzz(func(t *testing.T, mediaType string, b []byte) {
		e := evidence(layer(mediaType, b))
		for _, c := range []struct {
			subject   verify.Subject
			authority verify.Authority
			never     bool
		}{{app(), stamped, false}, {other, stamped, true}, {app(), stranger, true}} {
			report, err := v.Verify(context.Background(), c.subject, e, []verify.Authority{c.authority})
			if err != nil || len(report.Facts) != 1 {
				t.Fatalf("got %v, %v", report, err)
			}
			fact := report.Facts[0]
			if fact.Code == verify.CodeInternal {
				t.Fatal("the verifier panicked")
			}
			if fact.Verified && c.never {
				t.Fatalf("proven: %+v", fact)
			}
		}
	})
}

// FuzzTimestamp: whatever a token holds, nothing panics, and only the authority's own counts.
func FuzzTimestamp(f *testing.F) {
	p := newPKI(f, curve(f, elliptic.P256()), nil)
	tsa := newStamper(f, signed)
	a := p.notary()
	a.TimestampRoots = tsa.issuer.pem()
	ready, err := load(a)
	if err != nil {
		f.Fatal(err)
	}
	l := byCore(f, typeJWS, p.leaf, tsa.stamping)
	content, err := open(&l)
	if err != nil {
		f.Fatal(err)
	}
	if stamp, _ := ready.timestamp(context.Background(), &content.SignerInfo); stamp == nil || !stamp.Value.Equal(signed) {
		f.Fatalf("got %v", stamp)
	}
	f.Add(content.SignerInfo.UnsignedAttributes.TimestampSignature)
	f.Add([]byte("\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02\xa0\x80\x00\x00\x00\x00"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, token []byte) {
		s := content.SignerInfo
		s.UnsignedAttributes.TimestampSignature = token
		if stamp, _ := ready.timestamp(context.Background(), &s); stamp != nil && !stamp.Value.Equal(signed) {
			t.Fatalf("a timestamp at %v", stamp.Value)
		}
	})
}
