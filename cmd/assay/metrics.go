package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/prometheus/client_golang/prometheus"
)

// sbomMetrics is the series about SBOMs. Its label is a closed set.
type sbomMetrics struct {
	admission *policy.Admission
	log       *slog.Logger
}

func (sbomMetrics) images() *prometheus.Desc {
	return prometheus.NewDesc("assay_sbom_images", "Images whose SBOM waits to be made (10,000 at most are counted), is tried again, is being made, waits to be read, or was given up (1000 at most).", []string{"state"}, nil)
}

// Describe is [prometheus.Collector].
func (m sbomMetrics) Describe(descs chan<- *prometheus.Desc) { descs <- m.images() }

// Collect is [prometheus.Collector].
func (m sbomMetrics) Collect(values chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	s, err := m.admission.CountSBOMs(ctx)
	if err != nil {
		m.log.Error("SBOMs could not be counted", "error", err)
		return
	}
	running := 0
	if s.Running != nil {
		running = 1
	}
	for state, n := range map[string]int{"waiting": s.Waiting, "retrying": s.Retrying, "running": running, "reading": s.Reading, "failed": len(s.Failed)} {
		values <- prometheus.MustNewConstMetric(m.images(), prometheus.GaugeValue, float64(n), state)
	}
}

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

// collectTimeout bounds a count of what waits.
const collectTimeout = 2 * time.Second
