// Package doctor looks at what a registry depends on, without opening the store, so that it may do so beside a running server: each check is an item of one table.
package doctor

import (
	"context"
	"slices"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/spf13/cobra"
)

// The words of a finding.
const (
	fine    = "ok"
	warning = "warn"
	broken  = "fail"
)

// finding is what the doctor says about one thing.
type finding struct {
	Name   string `json:"name"`
	Status string `json:"status"` // ok, warn, fail
	Detail string `json:"detail"`
}

// Command is assay doctor.
func Command(a *cli.App) *cobra.Command {
	var p place.Flags
	c := &cobra.Command{
		Use: "doctor", Short: "Look at what the registry depends on: disk, permissions, worker, policies, clock", Args: cli.Exactly(),
		Long: `Look at what the registry depends on: the disk and how long a sync takes, permissions,
the SBOM worker and what it has to do, policies, the clock, and what the configuration may
not mean. It may run beside a server. The exit code is 1 where something is broken.`,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := place.Load(a, p)
			if err != nil {
				return err
			}
			findings := examine(c.Context(), a, cfg)
			if err := a.PrintValue(findings, func() error {
				rows := make([][]string, len(findings))
				for i, f := range findings {
					rows[i] = []string{f.Status, f.Name, f.Detail}
				}
				return cli.Table(a.Stdout, []string{"STATUS", "WHAT", "DETAIL"}, rows)
			}); err != nil {
				return err
			}
			if slices.ContainsFunc(findings, func(f finding) bool { return f.Status == broken }) {
				return &cli.Failure{Code: cli.ExitError}
			}
			return nil
		},
	}
	c.Flags().StringVar(&p.Data, "data", "", "directory of everything that is stored (ASSAY_DATA; default ./data)")
	return place.WithFlags(a, a.WithOutput(c), &p)
}

// check looks at one thing, and finds nothing, or what to say about it.
type check func(ctx context.Context, a *cli.App, cfg *config.Config) []finding

// checks are all of them, in the order in which they are told: first what nobody should have to look for.
func checks() []check {
	return []check{
		glassBroken, webhooksLast, // what lets everything through, and what keeps everything from running
		clockSane, diskFree, syncWorks, permissions, filesGuarded, certificateLasts, // the machine
		workerAnswers, policiesCompile, materialLasts, scopesFit, // what the configuration names
		trustFresh, policiesStand, sbomsMade, databasesFresh, // what a server wrote down
		configured,
	}
}

// examine makes all checks.
func examine(ctx context.Context, a *cli.App, cfg *config.Config) (findings []finding) {
	for _, look := range checks() {
		findings = append(findings, look(ctx, a, cfg)...)
	}
	return findings
}

// configured is what the configuration may not mean.
func configured(_ context.Context, _ *cli.App, cfg *config.Config) (found []finding) {
	var added []string
	if _, err := place.KeptState(cfg.Data, place.StateAuthorities, place.MaxState, &added); err != nil {
		found = append(found, finding{"configuration", warning, err.Error()})
	}
	for _, w := range append(cfg.Warnings(added...), cfg.Advice()...) {
		found = append(found, finding{"configuration", warning, w.In(cfg.Path())})
	}
	return found
}
