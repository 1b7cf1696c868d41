package main

import (
	"context"
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/assay-registry/assay/verify"
)

// reports is a verifier that answers what it was given.
type reports struct{ facts []verify.Fact }

func (reports) Check(verify.Authority) error { return nil }

func (r reports) Verify(context.Context, verify.Subject, []verify.Evidence, []verify.Authority) (*verify.Report, error) {
	if r.facts == nil {
		return nil, errors.New("no answer")
	}
	return &verify.Report{Facts: r.facts}, nil
}

// The series of trust have labels of closed sets, whatever a signature says.
func TestTrustMetrics(t *testing.T) {
	f := newFollowing(t, "dir:mirror", "refuse")
	f.reg.verified = countVerified(reports{[]verify.Fact{{Verified: true}, {Code: verify.CodeIdentity}, {Code: verify.CodeIdentity}, {Code: "signature.made_up"}}})
	if _, err := f.reg.verified.Verify(t.Context(), verify.Subject{}, nil, nil); err != nil {
		t.Fatal(err)
	}
	f.reg.verified.Verifier = reports{}
	if _, err := f.reg.verified.Verify(t.Context(), verify.Subject{}, nil, nil); err == nil {
		t.Fatal("no answer is an answer")
	}
	r := prometheus.NewRegistry()
	if err := r.Register(trustMetrics{f.reg.follower, f.reg.verified}); err != nil {
		t.Fatal(err)
	}
	if err := f.refresh(); err != nil {
		t.Fatal(err)
	}
	f.at(f.reg.admission.Trust().TUFState("acme-tuf").Expires)
	if err := f.refresh(); err == nil {
		t.Fatal("metadata that expired is fresh")
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			labels := ""
			for _, l := range m.GetLabel() {
				labels += " " + l.GetValue()
			}
			got[family.GetName()+labels] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	for series, want := range map[string]float64{
		"assay_tuf_expiry_seconds acme-tuf": 0, "assay_tuf_failures acme-tuf": 1, "assay_tuf_refresh_failures_total acme-tuf": 1, "assay_tuf_refreshes_total acme-tuf": 2,
		"assay_verify_errors_total": 1, "assay_verified_facts_total proven": 1, "assay_verified_facts_total signature.identity": 2, "assay_verified_facts_total signature.invalid": 0,
	} {
		if value, ok := got[series]; !ok || value != want {
			t.Errorf("%s: %v (%v), want %v", series, value, ok, want)
		}
	}
	if want := 5 + len(verify.Codes()) + 1; len(got) != want {
		t.Errorf("%d series, want %d: %v", len(got), want, got)
	}
}
