package metrics

import (
	"context"
	"log/slog"
	"time"

	"github.com/assay-registry/assay/cmd/assay/trustfollow"
	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/decisionlog"
	"github.com/assay-registry/assay/server"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Attempts are those to refresh TUF repositories: [trustfollow.Follower].
type Attempts interface {
	CountsOf(authority string) trustfollow.Counts
}

// Policies are those in force: [rulebook.Book].
type Policies interface{ Status() *server.PolicyStatus }

// Databases are those of vulnerabilities: [vulndbfollow.Databases].
type Databases interface {
	DatabaseStatus(ctx context.Context) ([]server.DatabaseStatus, error)
}

// Sources are what a running registry counts.
type Sources struct {
	Admission *policy.Admission
	Attempts  Attempts
	Verified  *Verified
	Decisions *decisionlog.Log // nil: none is kept
	Policies  Policies
	Databases Databases
	Release   string // version of the program
	Data      string // the directory of everything that is stored
	Clock     func() time.Time
	Log       *slog.Logger
}

// New registers every series. They are counted when somebody asks.
func New(from Sources) (*prometheus.Registry, error) {
	all := prometheus.NewRegistry()
	for _, m := range []prometheus.Collector{
		trustMetrics{func() trustfollow.Known { return from.Admission.Trust() }, from.Attempts, from.Verified, from.Clock}, exceptionMetrics{from.Admission, from.Decisions}, policyMetrics{from.Policies}, databaseMetrics{from.Databases, from.Log},
		obligationMetrics{from.Admission, from.Log}, sbomMetrics{from.Admission, from.Log},
		processMetrics{from.Release, from.Data}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := all.Register(m); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// collectTimeout bounds a count of what waits.
const collectTimeout = 2 * time.Second
