package metrics

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
)

// databaseMetrics are the series about databases of vulnerabilities. Their label is the name of a database: those of the configuration, and what administrators imported.
type databaseMetrics struct {
	databases Databases
	log       *slog.Logger
}

type databaseSeries struct{ age, revision, advisories, failures *prometheus.Desc }

func (databaseMetrics) series() databaseSeries {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, []string{"database"}, nil)
	}
	return databaseSeries{
		age:        desc("assay_vulndb_age_seconds", "Time since the data of a database of vulnerabilities was current."),
		revision:   desc("assay_vulndb_revision", "Revision of the database of vulnerabilities that is installed."),
		advisories: desc("assay_vulndb_advisories", "Advisories of a database of vulnerabilities."),
		failures:   desc("assay_vulndb_failures", "Looks for a newer database that failed since one succeeded."),
	}
}

// Describe is [prometheus.Collector].
func (m databaseMetrics) Describe(out chan<- *prometheus.Desc) {
	s := m.series()
	for _, d := range []*prometheus.Desc{s.age, s.revision, s.advisories, s.failures} {
		out <- d
	}
}

// Collect is [prometheus.Collector].
func (m databaseMetrics) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	list, err := m.databases.DatabaseStatus(ctx)
	if err != nil {
		m.log.Warn("the state of the databases of vulnerabilities could not be read for the metrics", "error", err)
		return
	}
	s := m.series()
	for _, d := range list {
		gauge := func(desc *prometheus.Desc, v float64) {
			out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, d.Name)
		}
		if gauge(s.failures, float64(d.Failures)); !d.Built.IsZero() {
			gauge(s.age, float64(d.Age))
			gauge(s.revision, float64(d.Revision))
			gauge(s.advisories, float64(d.Advisories))
		}
	}
}
