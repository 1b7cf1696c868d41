package metrics

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/assay-registry/assay/cmd/assay/trustfollow"
	"github.com/assay-registry/assay/verify"
	"github.com/prometheus/client_golang/prometheus"
)

// Verified is a verifier that counts what it found. Its labels are the closed set of codes.
type Verified struct {
	verify.Verifier
	proven  atomic.Uint64
	refused map[verify.Code]*atomic.Uint64 // the map does not change
	errors  atomic.Uint64
}

// Count counts what v finds.
func Count(v verify.Verifier) *Verified {
	c := &Verified{Verifier: v, refused: map[verify.Code]*atomic.Uint64{}}
	for _, code := range verify.Codes() {
		c.refused[code] = &atomic.Uint64{}
	}
	return c
}

// Verify is [verify.Verifier].
func (c *Verified) Verify(ctx context.Context, subject verify.Subject, evidence []verify.Evidence, authorities []verify.Authority) (*verify.Report, error) {
	report, err := c.Verifier.Verify(ctx, subject, evidence, authorities)
	if err != nil {
		if ctx.Err() == nil {
			c.errors.Add(1)
		}
		return nil, err
	}
	for i := range report.Facts {
		if f := &report.Facts[i]; f.Verified {
			c.proven.Add(1)
		} else if n, ok := c.refused[f.Code]; ok {
			n.Add(1)
		}
	}
	return report, nil
}

// trustMetrics are the series about trust. Their labels are the authorities of the configuration and the closed set of codes.
type trustMetrics struct {
	known    func() trustfollow.Known
	attempts Attempts
	verified *Verified
	clock    func() time.Time
}

// The series.
type trustSeries struct{ expiry, refreshes, failures, failing, facts, errors *prometheus.Desc }

func (trustMetrics) series() trustSeries {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return trustSeries{
		expiry:    desc("assay_tuf_expiry_seconds", "Time until the metadata of a TUF repository expires; negative when it has.", "authority"),
		refreshes: desc("assay_tuf_refreshes_total", "Attempts to refresh a TUF repository.", "authority"),
		failures:  desc("assay_tuf_refresh_failures_total", "Attempts to refresh a TUF repository that failed.", "authority"),
		failing:   desc("assay_tuf_failures", "Attempts that failed since one succeeded.", "authority"),
		facts:     desc("assay_verified_facts_total", "Layers of evidence that were verified, by what came of it: proven, or the code of the refusal.", "code"),
		errors:    desc("assay_verify_errors_total", "Verifications that had no answer."),
	}
}

// Describe is [prometheus.Collector].
func (m trustMetrics) Describe(out chan<- *prometheus.Desc) {
	s := m.series()
	for _, d := range []*prometheus.Desc{s.expiry, s.refreshes, s.failures, s.failing, s.facts, s.errors} {
		out <- d
	}
}

// Collect is [prometheus.Collector].
func (m trustMetrics) Collect(out chan<- prometheus.Metric) {
	s := m.series()
	number := func(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, kind, value, labels...)
	}
	number(s.facts, prometheus.CounterValue, float64(m.verified.proven.Load()), "proven")
	for code, n := range m.verified.refused {
		number(s.facts, prometheus.CounterValue, float64(n.Load()), string(code))
	}
	number(s.errors, prometheus.CounterValue, float64(m.verified.errors.Load()))
	for _, a := range m.known().TUFAuthorities() {
		n := m.attempts.CountsOf(a.Name)
		number(s.refreshes, prometheus.CounterValue, float64(n.Refreshes), a.Name)
		number(s.failures, prometheus.CounterValue, float64(n.Failed), a.Name)
		number(s.failing, prometheus.GaugeValue, float64(n.Failing), a.Name)
		if state := m.known().TUFState(a.Name); state != nil {
			number(s.expiry, prometheus.GaugeValue, state.Expires.Sub(m.clock()).Seconds(), a.Name)
		}
	}
}
