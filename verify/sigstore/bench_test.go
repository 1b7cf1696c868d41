package sigstore

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"log/slog"
	"slices"
	"testing"

	"github.com/assay-registry/assay/verify"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	cosignbundle "github.com/sigstore/cosign/v2/pkg/cosign/bundle"
	"github.com/sigstore/cosign/v2/pkg/oci"
	"github.com/sigstore/cosign/v2/pkg/oci/static"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore/pkg/signature"
)

// BenchmarkVerify: a .sig manifest of 64 layers, one good and 63 by a stranger, with the good one last.
func BenchmarkVerify(b *testing.B) {
	s, other := p256(b, "signer"), p256(b, "other")
	e := evidence(append(slices.Repeat([]verify.Layer{good(other)}, verify.MaxLayers-1), good(s))...)
	bench(b, app(), e, release(s.key))
}

// BenchmarkVerifyOne is what a cosign sign costs: one layer.
func BenchmarkVerifyOne(b *testing.B) {
	s := p256(b, "signer")
	bench(b, app(), evidence(good(s)), release(s.key))
}

// BenchmarkVerifyBundle is the same for cosign 3.
func BenchmarkVerifyBundle(b *testing.B) {
	s := p256(b, "signer")
	bench(b, app(), evidence(s.bundle(verify.TypeBundle, statement(verify.PredicateCosignSign, "{}", app().Descriptor.Digest))), release(s.key))
}

// BenchmarkKeyless is a real attestation of 2024: Fulcio's certificate, certificate timestamp, Rekor's promise, an envelope of 13 kB.
func BenchmarkKeyless(b *testing.B) {
	subject, l := provenance(b, "slsa-2.0.0")
	bench(b, subject, evidence(l), publicGood(b, verify.Identity{Issuer: actions, Subject: "https://github.com/slsa-framework/**"}))
}

// BenchmarkKeylessBundle is a bundle of cosign 3 with promise, proof of inclusion and timestamp.
func BenchmarkKeylessBundle(b *testing.B) {
	e, _ := newEstate("seed")
	s := e.Identity(workflow, actions)
	for _, f := range forms() {
		if f.name == "bundle 0.3" {
			bench(b, app(), evidence(f.layer(f.sign(s, both(e), image))), keylessOf(e))
		}
	}
}

// BenchmarkKeylessStranger is 64 layers by an identity of another instance: what a flood costs.
func BenchmarkKeylessStranger(b *testing.B) {
	e, _ := newEstate("seed")
	stranger, _ := newEstate("stranger")
	var layers []verify.Layer
	for range verify.MaxLayers {
		layers = append(layers, stranger.Identity(workflow, actions).Simple(simplePayload(), both(stranger)).SimpleLayer())
	}
	v := newVerifier()
	b.ReportAllocs()
	for b.Loop() {
		report, err := v.Verify(b.Context(), app(), evidence(layers...), []verify.Authority{keylessOf(e)})
		if err != nil || report.Facts[0].Code != verify.CodeUntrustedRoot {
			b.Fatalf("got %+v, %v", report, err)
		}
	}
}

func simplePayload() []byte {
	return payload("registry.example:5000/acme/app", app().Descriptor.Digest, "null")
}

func bench(b *testing.B, subject verify.Subject, e []verify.Evidence, a verify.Authority) {
	v := New(slog.New(slog.DiscardHandler))
	b.ReportAllocs()
	for b.Loop() {
		report, err := v.Verify(context.Background(), subject, e, []verify.Authority{a})
		if err != nil || !report.Facts[len(report.Facts)-1].Verified {
			b.Fatalf("got %+v, %v", report, err)
		}
	}
}

// BenchmarkCosignOne is cosign's own work on the input of BenchmarkVerifyOne.
func BenchmarkCosignOne(b *testing.B) {
	s := p256(b, "signer")
	l := good(s)
	block, _ := pem.Decode([]byte(s.key.PEM))
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		b.Fatal(err)
	}
	verifier, err := signature.LoadVerifier(public, crypto.SHA256)
	if err != nil {
		b.Fatal(err)
	}
	co := &cosign.CheckOpts{SigVerifier: verifier, IgnoreTlog: true, Offline: true, MaxWorkers: 1, ClaimVerifier: cosign.SimpleClaimVerifier}
	b.ReportAllocs()
	for b.Loop() {
		sig, err := static.NewSignature(l.Bytes, l.Annotations[verify.AnnotationSignature], static.WithAnnotations(l.Annotations))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := cosign.VerifyImageSignature(b.Context(), sig, v1.Hash{Algorithm: "sha256", Hex: app().Descriptor.Digest.Encoded()}, co); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCosignKeyless is cosign's own work on the input of BenchmarkKeyless, with a trusted root that is already read.
func BenchmarkCosignKeyless(b *testing.B) {
	subject, l := provenance(b, "slsa-2.0.0")
	trusted, err := root.NewTrustedRootFromJSON(mustRead(b, fixtures(b, "trust"), "public-good-trusted_root.json"))
	if err != nil {
		b.Fatal(err)
	}
	co := &cosign.CheckOpts{TrustedMaterial: trusted, Offline: true, MaxWorkers: 1, ClaimVerifier: cosign.IntotoSubjectClaimVerifier,
		Identities: []cosign.Identity{{Issuer: actions, SubjectRegExp: "^https://github.com/slsa-framework/"}}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := cosign.VerifyBlobAttestation(b.Context(), asCosign(b, l), v1.Hash{Algorithm: "sha256", Hex: subject.Descriptor.Digest.Encoded()}, co); err != nil {
			b.Fatal(err)
		}
	}
}

// asCosign is a layer as cosign reads it from a registry.
func asCosign(b *testing.B, l verify.Layer) oci.Signature {
	b.Helper()
	rekor, err := readRekor([]byte(l.Annotations[verify.AnnotationRekor]))
	if err != nil {
		b.Fatal(err)
	}
	options := []static.Option{static.WithLayerMediaType(types.MediaType(l.MediaType)), static.WithAnnotations(l.Annotations),
		static.WithCertChain([]byte(l.Annotations[verify.AnnotationCertificate]), []byte(l.Annotations[verify.AnnotationChain])), static.WithBundle(cosignEntry(rekor))}
	sig, err := static.NewAttestation(bytes.Clone(l.Bytes), options...)
	if err != nil {
		b.Fatal(err)
	}
	return sig
}

func cosignEntry(e *protorekor.TransparencyLogEntry) *cosignbundle.RekorBundle {
	return &cosignbundle.RekorBundle{SignedEntryTimestamp: e.GetInclusionPromise().GetSignedEntryTimestamp(), Payload: cosignbundle.RekorPayload{
		Body: base64.StdEncoding.EncodeToString(e.GetCanonicalizedBody()), IntegratedTime: e.GetIntegratedTime(), LogIndex: e.GetLogIndex(), LogID: hex.EncodeToString(e.GetLogId().GetKeyId()),
	}}
}
