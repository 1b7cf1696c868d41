package main

import (
	"context"
	"fmt"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/server"
	"github.com/prometheus/client_golang/prometheus"
)

// tell writes down where everything stands.
func (f *databases) tell(ctx context.Context) {
	list, err := f.DatabaseStatus(ctx)
	if err == nil {
		err = place.KeepState(f.r.directory.Path, place.StateDatabases, list)
	}
	if err != nil && ctx.Err() == nil {
		f.log.Warn("the state of the databases of vulnerabilities could not be written for assay doctor", "error", err)
	}
}

// databasesFresh says how old the databases are, as the server wrote it down last. Without such a file no server has looked.
func databasesFresh(a *cli.App, cfg *config.Config) []finding {
	const what = "vulnerabilities"
	var list []server.DatabaseStatus
	kept, err := place.KeptState(cfg.Data, place.StateDatabases, place.MaxState, &list)
	if !kept && len(cfg.Vulnerabilities.Databases) == 0 {
		return nil
	}
	if !kept {
		return []finding{{what, warning, "no server has looked for the databases yet; start one, and see assay vulndb status"}}
	}
	if err != nil {
		return []finding{{what, broken, err.Error()}}
	}
	var found []finding
	for _, s := range list {
		found = append(found, databaseFresh(s, a.Clock(), time.Duration(cfg.Vulnerabilities.MaxAge)))
	}
	return found
}

func databaseFresh(s server.DatabaseStatus, now time.Time, most time.Duration) finding {
	name := "vulnerabilities " + s.Name
	if s.Built.IsZero() {
		return finding{name, broken, "nothing is installed, so that nothing is found: " + s.Error}
	}
	age := max(0, now.Sub(s.Current()))
	detail := fmt.Sprintf("%s old, built %s, revision %d, %d advisories", cli.Days(age), cli.Moment(s.Built), s.Revision, s.Advisories)
	if s.Current().Before(s.Built) {
		detail = fmt.Sprintf("%s old, the oldest of its files of %s, built %s, revision %d, %d advisories", cli.Days(age), cli.Moment(s.Oldest), cli.Moment(s.Built), s.Revision, s.Advisories)
	}
	if s.SignedBy != "" {
		detail += ", signed by " + s.SignedBy
	}
	switch {
	case most > 0 && age > most && s.Error != "":
		return finding{name, warning, fmt.Sprintf("too old (vulnerabilities.max_age is %s): %s; what is there now is not taken: %s", config.Duration(most), detail, s.Error)}
	case most > 0 && age > most:
		return finding{name, warning, fmt.Sprintf("too old (vulnerabilities.max_age is %s): %s", config.Duration(most), detail)}
	case s.Error != "":
		return finding{name, warning, fmt.Sprintf("%s; %s stays", s.Error, detail)}
	}
	return finding{name, fine, detail}
}

// databaseMetrics are the series about databases of vulnerabilities. Their label is the name of a database: those of the configuration, and what administrators imported.
type databaseMetrics struct{ databases *databases }

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
		m.databases.log.Warn("the state of the databases of vulnerabilities could not be read for the metrics", "error", err)
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
