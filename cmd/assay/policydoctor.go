package main

import (
	"fmt"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/server"
	"github.com/prometheus/client_golang/prometheus"
)

// policiesStand says which policies are in force, and where they come from, as the server wrote it down last. Without such a file no server changed anything.
func policiesStand(cfg *config.Config) []finding {
	const name = "policies in force"
	var s server.PolicyStatus
	kept, err := place.KeptState(cfg.Data, place.StatePolicies, place.MaxState, &s)
	if !kept {
		return nil
	}
	if err != nil {
		return []finding{{name, broken, err.Error()}}
	}
	found := []finding{{name, fine, "those of the configuration"}}
	switch {
	case s.Revision > 0:
		found[0].Detail = fmt.Sprintf("revision %d, by %s at %s: those of the configuration do not count until assay policy rollback, or until they change", s.Revision, s.By, cli.Moment(s.At))
	case s.Lapsed > 0:
		found[0] = finding{name, warning, fmt.Sprintf("those of the configuration: revision %d, which was activated, ended because they changed", s.Lapsed)}
	}
	if s.Staged != nil && s.Staged.Error != "" {
		found = append(found, finding{"staged policies", warning, "they decide nothing: " + s.Staged.Error})
	}
	for _, o := range s.Sources {
		found = append(found, originStands(o))
	}
	return found
}

func originStands(o server.PolicyOrigin) finding {
	detail := fmt.Sprintf("revision %d, signed by %s", o.Revision, o.SignedBy)
	switch {
	case o.Revision == 0:
		return finding{o.Ref, broken, "nothing was accepted yet, so that everything is refused: " + o.Error}
	case o.Error != "":
		return finding{o.Ref, warning, fmt.Sprintf("%s; %s stays in force", o.Error, detail)}
	}
	return finding{o.Ref, fine, detail}
}

// policyMetrics are the series about policies. Their labels are closed sets, and the references of the configuration.
type policyMetrics struct{ r *registry }

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
	m.r.ruling.Lock()
	status := m.r.rollout().status()
	m.r.ruling.Unlock()
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
