package metrics

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/assay-registry/assay/cmd/assay/trustfollow"
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

// repository is a TUF repository that was asked twice, and answered once.
type repository struct{ expires time.Time }

func (repository) TUFAuthorities() []verify.Authority {
	return []verify.Authority{{Name: "acme-tuf", Kind: verify.KindTUF}, {Name: "new", Kind: verify.KindTUF}}
}

func (r repository) TUFState(name string) *verify.TUFState {
	if name != "acme-tuf" {
		return nil
	}
	return &verify.TUFState{Expires: r.expires}
}

func (repository) CountsOf(name string) (c trustfollow.Counts) {
	if name == "acme-tuf" {
		c = trustfollow.Counts{Refreshes: 2, Failed: 1, Failing: 1}
	}
	return c
}

// The series of trust have labels of closed sets, whatever a signature says.
func TestTrustMetrics(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	v := Count(reports{[]verify.Fact{{Verified: true}, {Code: verify.CodeIdentity}, {Code: verify.CodeIdentity}, {Code: "signature.made_up"}}})
	if _, err := v.Verify(t.Context(), verify.Subject{}, nil, nil); err != nil {
		t.Fatal(err)
	}
	v.Verifier = reports{}
	if _, err := v.Verify(t.Context(), verify.Subject{}, nil, nil); err == nil {
		t.Fatal("no answer is an answer")
	}
	tuf := repository{now.Add(time.Hour)}
	r := prometheus.NewRegistry()
	if err := r.Register(trustMetrics{func() trustfollow.Known { return tuf }, tuf, v, func() time.Time { return now }}); err != nil {
		t.Fatal(err)
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
		"assay_tuf_expiry_seconds acme-tuf": 3600, "assay_tuf_failures acme-tuf": 1, "assay_tuf_refresh_failures_total acme-tuf": 1, "assay_tuf_refreshes_total acme-tuf": 2, "assay_tuf_refreshes_total new": 0,
		"assay_verify_errors_total": 1, "assay_verified_facts_total proven": 1, "assay_verified_facts_total signature.identity": 2, "assay_verified_facts_total signature.invalid": 0,
	} {
		if value, ok := got[series]; !ok || value != want {
			t.Errorf("%s: %v (%v), want %v", series, value, ok, want)
		}
	}
	if want := 8 + len(verify.Codes()) + 1; len(got) != want {
		t.Errorf("%d series, want %d: %v", len(got), want, got)
	}
}
