package notation

import (
	"context"
	"crypto"
	"crypto/elliptic"
	"log/slog"
	"testing"

	"github.com/assay-registry/assay/verify"
	"github.com/notaryproject/notation-core-go/signature"
)

// BenchmarkVerify is what one signature costs: a chain of three certificates, JWS and COSE, and with a timestamp.
func BenchmarkVerify(b *testing.B) {
	tsa := newStamper(b, signed)
	for _, c := range []struct {
		name, mediaType string
		key             crypto.Signer
		edit            func(*signature.SignRequest)
	}{
		{"JWS-P256", typeJWS, curve(b, elliptic.P256()), nil},
		{"COSE-P256", typeCOSE, curve(b, elliptic.P256()), nil},
		{"JWS-RSA3072", typeJWS, rsaOf(b, 3072), nil},
		{"JWS-P256-timestamp", typeJWS, curve(b, elliptic.P256()), tsa.stamping},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := newPKI(b, c.key, nil)
			a := p.notary()
			a.TimestampRoots = tsa.issuer.pem()
			e, v := evidence(byCore(b, c.mediaType, p.leaf, c.edit)), New(slog.New(slog.DiscardHandler))
			b.ReportAllocs()
			for b.Loop() {
				report, err := v.Verify(context.Background(), app(), e, []verify.Authority{a})
				if err != nil || !report.Facts[0].Verified {
					b.Fatalf("got %+v, %v", report, err)
				}
			}
		})
	}
}
