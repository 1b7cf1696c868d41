package serve

import (
	"log/slog"
	"os"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/policy/decisionlog"
	"github.com/assay-registry/assay/policy/journal"
	"github.com/assay-registry/assay/store"
)

var _ journal.Segments = place.SegmentFiles("")

// openDecisions opens the decision log; nil where the configuration wants none.
func openDecisions(a *cli.App, r *registry, cfg *config.Config, log *slog.Logger) (*decisionlog.Log, error) {
	if cfg.Decisions.Keep == 0 {
		return nil, nil
	}
	dir := r.directory.Decisions()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	journal, err := journal.Open(journal.Options{Log: journal.Decisions, Segments: place.SegmentFiles(dir), Key: r.keys.Log, Clock: a.Clock,
		Keep: time.Duration(cfg.Decisions.Keep), MaxBytes: int64(cfg.Decisions.Size)})
	if err != nil {
		return nil, store.Errorf(store.CodeInternal, "the decision log in %s cannot be opened: %w", dir, err)
	}
	return decisionlog.New(decisionlog.Options{Journal: journal, Clock: a.Clock, ID: r.local.ID, Log: log, Labels: map[string]string{"version": a.Release}}), nil
}
