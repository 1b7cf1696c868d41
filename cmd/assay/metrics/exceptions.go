package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/decisionlog"
	"github.com/assay-registry/assay/policy/waiverkeep"
)

// exceptionMetrics are the waivers and the decision log, as they stand when somebody asks.
type exceptionMetrics struct {
	admission *policy.Admission
	decisions *decisionlog.Log
}

var _ prometheus.Collector = exceptionMetrics{}

func (m exceptionMetrics) series() (waivers, glass, verdicts, lost *prometheus.Desc) {
	return prometheus.NewDesc("assay_waivers", "Waivers that are kept, by state.", []string{"state"}, nil),
		prometheus.NewDesc("assay_break_glass_waivers", "Waivers of every code that count now.", nil, nil),
		prometheus.NewDesc("assay_break_glass_verdicts_total", "Verdicts that let through what policies deny, by a waiver of every code.", nil, nil),
		prometheus.NewDesc("assay_decision_log_dropped_total", "Events that the decision log had no room for, or could not write.", nil, nil)
}

// Describe implements prometheus.Collector.
func (m exceptionMetrics) Describe(c chan<- *prometheus.Desc) {
	waivers, glass, verdicts, lost := m.series()
	for _, d := range []*prometheus.Desc{waivers, glass, verdicts, lost} {
		c <- d
	}
}

// Collect implements prometheus.Collector.
func (m exceptionMetrics) Collect(c chan<- prometheus.Metric) {
	waivers, glass, verdicts, lost := m.series()
	states, broken, used := m.admission.WaiverCounts()
	for _, s := range []waiverkeep.State{waiverkeep.Active, waiverkeep.Early, waiverkeep.Expired, waiverkeep.Revoked, waiverkeep.TooLong, waiverkeep.Unproven} {
		c <- prometheus.MustNewConstMetric(waivers, prometheus.GaugeValue, float64(states[s]), string(s))
	}
	c <- prometheus.MustNewConstMetric(glass, prometheus.GaugeValue, float64(broken))
	c <- prometheus.MustNewConstMetric(verdicts, prometheus.CounterValue, float64(used))
	c <- prometheus.MustNewConstMetric(lost, prometheus.CounterValue, float64(m.decisions.Lost()))
}
