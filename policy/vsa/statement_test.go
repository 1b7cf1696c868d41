package vsa_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/vsa"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

var epoch = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func admission() (*contract.Input, *contract.Decision) {
	d := func(s string) store.Digest { return store.DigestOf("sha256", []byte(s)) }
	return &contract.Input{
			Subject:    contract.SubjectInput{Repository: "acme/app", Digest: d("image")},
			Signatures: []contract.SignatureInput{{Evidence: d("one"), Verified: true, ValidUntil: epoch.Add(2 * time.Hour)}, {Evidence: d("two")}},
			Attestations: []contract.AttestationInput{{Evidence: d("built"), Verified: true, Authority: "release", PredicateType: "https://slsa.dev/provenance/v1"},
				{Evidence: d("own"), Verified: true, Authority: verify.ReservedAuthority, PredicateType: "https://spdx.dev/Document"}},
		}, &contract.Decision{Allow: true, PolicySet: "sha256:00", Policies: []contract.Applied{{Name: "base", Mode: contract.ModeEnforce, Revision: "sha256:11"}},
			ValidUntil: epoch.Add(time.Minute)}
}

func TestAStatementSaysWhatCounted(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	o := vsa.Options{Key: key, All: true, Verifier: "https://registry.example", Host: "registry.example", Validity: 168 * time.Hour,
		Levels: []vsa.Level{{Authority: "release", Level: "SLSA_BUILD_LEVEL_2"}, {Authority: "release", Level: "SLSA_BUILD_LEVEL_3"}, {Authority: "other", Level: "SLSA_BUILD_LEVEL_4"}}}
	in, d := admission()
	s := o.Summarize(in, d, epoch)
	if len(s.InputAttestations) != 2 || !slices.Equal(s.VerifiedLevels, []string{vsa.LevelAdmitted, "SLSA_BUILD_LEVEL_3"}) || s.VerificationResult != "PASSED" {
		t.Errorf("neither what proves nothing nor the registry's own counts: %+v", s)
	}
	if !s.Verdict.Expires.Equal(epoch.Add(2 * time.Hour)) {
		t.Errorf("it ends at %v: with the first signature that does, not with what is asked again within the hour", s.Verdict.Expires)
	}
	mark := o.Mark(in, d)
	if d.PolicySet = "sha256:22"; o.Mark(in, d) != mark {
		t.Error("a set whose policies are the same here says something else")
	}
	if in.Signatures[1].Verified = true; o.Mark(in, d) == mark {
		t.Error("one more signature says the same")
	}
	if at, err := o.Sign(s, "acme/app", store.Descriptor{Digest: in.Subject.Digest, MediaType: "application/vnd.oci.image.manifest.v1+json", Size: 2}); err != nil || len(at.Blobs) == 0 {
		t.Errorf("%+v, %v", at, err)
	}
	for _, none := range []struct {
		o vsa.Options
		d *contract.Decision
	}{{vsa.Options{All: true}, d}, {o, nil}, {o, &contract.Decision{}}, {vsa.Options{Key: key}, d}} {
		if none.o.Wants(none.d) {
			t.Errorf("%+v is attested", none.d)
		}
	}
	if d.Obligations = []contract.Obligation{{Type: contract.ObligationVSA}}; !(vsa.Options{Key: key}).Wants(d) {
		t.Error("a policy asked for it")
	}
}
