package metrics

import (
	"context"
	"log/slog"

	"github.com/assay-registry/assay/policy"
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
