package sigstore

import (
	"context"
	"log/slog"
	"slices"
	"testing"

	"github.com/assay-registry/assay/verify"
)

// BenchmarkVerify: a .sig manifest of 64 layers, one good and 63 by a stranger, with the good one last.
func BenchmarkVerify(b *testing.B) {
	s, other := p256(b, "signer"), p256(b, "other")
	e := evidence(append(slices.Repeat([]verify.Layer{good(other)}, verify.MaxLayers-1), good(s))...)
	bench(b, e, release(s.key))
}

// BenchmarkVerifyOne is what a cosign sign costs: one layer.
func BenchmarkVerifyOne(b *testing.B) {
	s := p256(b, "signer")
	bench(b, evidence(good(s)), release(s.key))
}

// BenchmarkVerifyBundle is the same for cosign 3.
func BenchmarkVerifyBundle(b *testing.B) {
	s := p256(b, "signer")
	bench(b, evidence(s.bundle(verify.TypeBundle, statement(verify.PredicateCosignSign, "{}", app().Descriptor.Digest))), release(s.key))
}

func bench(b *testing.B, e []verify.Evidence, a verify.Authority) {
	v := New(slog.New(slog.DiscardHandler))
	b.ReportAllocs()
	for b.Loop() {
		report, err := v.Verify(context.Background(), app(), e, []verify.Authority{a})
		if err != nil || !report.Facts[len(report.Facts)-1].Verified {
			b.Fatalf("got %+v, %v", report, err)
		}
	}
}
