package metrics

import (
	"context"
	"log/slog"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/prometheus/client_golang/prometheus"
)

// obligationMetrics are the series about obligations. Their label is the closed set of types.
type obligationMetrics struct {
	admission *policy.Admission
	log       *slog.Logger
}

func (obligationMetrics) series() (waiting, failed *prometheus.Desc) {
	return prometheus.NewDesc("assay_obligations_waiting", "What policies and the configuration asked for and is not done yet.", []string{"type"}, nil),
		prometheus.NewDesc("assay_obligations_failed", "What was given up and is not forgotten yet.", []string{"type"}, nil)
}

// Describe is [prometheus.Collector].
func (m obligationMetrics) Describe(descs chan<- *prometheus.Desc) {
	waiting, failed := m.series()
	descs <- waiting
	descs <- failed
}

// Collect is [prometheus.Collector].
func (m obligationMetrics) Collect(values chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	r, err := m.admission.CountObligations(ctx)
	if err != nil {
		m.log.Error("obligations could not be counted", "error", err)
		return
	}
	waiting, failed := m.series()
	for _, t := range contract.Obligations() {
		values <- prometheus.MustNewConstMetric(waiting, prometheus.GaugeValue, float64(r.Waiting[t]), t)
		values <- prometheus.MustNewConstMetric(failed, prometheus.GaugeValue, float64(r.Failed[t]), t)
	}
}
