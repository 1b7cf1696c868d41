package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
)

// policyMetrics are the series about policies. Their labels are closed sets, and the references of the configuration.
type policyMetrics struct{ policies Policies }

type policySeries struct{ revision, staged, source, failures *prometheus.Desc }

func (policyMetrics) series() policySeries {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return policySeries{
		revision: desc("assay_policy_revision", "Revision of the policies in force; 0 is the configuration's."),
		staged:   desc("assay_policy_staged_decisions", "Decisions of the staged policies, by how they differ from those in force.", "difference"),
		source:   desc("assay_policy_source_revision", "Revision of the policies that were accepted from a source.", "source"),
		failures: desc("assay_policy_source_failures", "Looks at a source of policies that failed since one succeeded.", "source"),
	}
}

// Describe is [prometheus.Collector].
func (m policyMetrics) Describe(out chan<- *prometheus.Desc) {
	s := m.series()
	for _, d := range []*prometheus.Desc{s.revision, s.staged, s.source, s.failures} {
		out <- d
	}
}

// Collect is [prometheus.Collector].
func (m policyMetrics) Collect(out chan<- prometheus.Metric) {
	s := m.series()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	status := m.policies.Status()
	gauge(s.revision, float64(status.Revision))
	for _, o := range status.Sources {
		gauge(s.source, float64(o.Revision), o.Ref)
		gauge(s.failures, float64(o.Failures), o.Ref)
	}
	if status.Staged == nil || status.Staged.Shadow == nil {
		return
	}
	r := status.Staged.Shadow
	for name, n := range map[string]uint64{"none": r.Agreed, "newly_denied": r.NewlyDenied, "newly_allowed": r.NewlyAllowed, "other_reason": r.OtherReason, "left_out": r.LeftOut, "failed": r.Failed} {
		gauge(s.staged, float64(n), name)
	}
}
