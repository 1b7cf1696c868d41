package imagecmd

import (
	"fmt"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/client"
	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/spf13/cobra"
)

// ObligationsCommand shows what was asked for and is not done.
func ObligationsCommand(a *cli.App) *cobra.Command {
	kind := ""
	c := &cobra.Command{
		Use: "obligations", Short: "Show what policies asked for and is not done yet", Args: cli.Exactly(),
		Long: `Show what policies and the configuration asked for and is not done yet: SBOMs to make
(generate_sbom), verdicts to attest (emit_vsa), events to deliver (notify); how often each was
tried, when it is tried next, and why it failed.`,
		RunE: func(c *cobra.Command, _ []string) error {
			return cli.Asked(a, c.Context(), (*client.Client).Obligations, func(r *policy.ObligationReport) error { return obliged(a, r, kind) })
		},
	}
	c.Flags().StringVar(&kind, "type", "", "only these: generate_sbom, emit_vsa or notify")
	return a.WithServer(a.WithOutput(c))
}

func obliged(a *cli.App, r *policy.ObligationReport, kind string) error {
	for _, t := range contract.Obligations() {
		if kind != "" && kind != t {
			continue
		}
		if err := a.Say("%-14s %d waiting, %d given up", t, r.Waiting[t], r.Failed[t]); err != nil {
			return err
		}
		for _, o := range r.Obligations {
			if o.Type != t {
				continue
			}
			line := fmt.Sprintf("  %s@%s", o.Repository, o.Digest)
			if o.Target != "" {
				line += fmt.Sprintf("  %s to %s", o.Event, o.Target)
			}
			if o.Attempts > 0 {
				line += fmt.Sprintf("  tried %d times: %s", o.Attempts, o.Reason)
			}
			switch {
			case o.Failed:
				line += "  (given up)"
			case !o.Next.IsZero():
				line += "  next " + o.Next.UTC().Format(time.RFC3339)
			}
			if err := a.Say("%s", cli.Printable(line)); err != nil {
				return err
			}
		}
	}
	return nil
}
