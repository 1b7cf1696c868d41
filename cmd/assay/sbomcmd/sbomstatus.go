package sbomcmd

import (
	"fmt"
	"strings"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/spf13/cobra"
)

func sbomStatus(a *cli.App) *cobra.Command {
	c := &cobra.Command{
		Use: "status", Short: "Show what there is to do about SBOMs, and what was given up", Args: cli.Exactly(),
		Long: `Show what the generator works on, what waits for it, how far the review of older images
is, how many SBOMs are to be read, and whose SBOM could not be made or read, with the
reason. For administrators.`,
		RunE: func(c *cobra.Command, _ []string) error {
			server, err := a.Connect(c.Context(), "")
			if err != nil {
				return err
			}
			s, err := server.SBOMStatus(c.Context())
			if err != nil || a.Output == "json" {
				if err == nil {
					err = a.Print(s.Raw, nil)
				}
				return err
			}
			v := &s.Value
			if a.Output == "table" {
				running := "nothing"
				if v.Running != nil {
					running = string(v.Running.Repository) + "@" + string(v.Running.Digest)
				}
				fmt.Fprintf(a.Stderr, "describing %s; %d wait, %d of them after a failure; %d SBOMs are to be read\n", cli.Printable(running), v.Waiting, v.Retrying, v.Reading)
				if b := v.Backfill; b != nil {
					done := "under way"
					if !b.Finished.IsZero() {
						done = "finished " + b.Finished.Format(time.RFC3339)
					}
					fmt.Fprintf(a.Stderr, "review for %s: %d manifests seen, %d images queued, %s\n", cli.Printable(b.Generator), b.Seen, b.Queued, done)
				}
			}
			var rows [][]string
			for _, f := range v.Failed {
				rows = append(rows, []string{string(f.Repository), string(f.Digest), "not " + f.What, f.Reason})
			}
			return a.Rows(s.Raw, "nothing failed", []string{"REPOSITORY", "DIGEST", "WHAT", "REASON"}, rows)
		},
	}
	return a.WithServer(a.WithRows(c))
}

func sbomRetry(a *cli.App) *cobra.Command {
	c := &cobra.Command{
		Use: "retry REF", Short: "Have the SBOM of an image made and read again", Args: cli.Exactly("REF"),
		RunE: func(c *cobra.Command, args []string) error {
			ref, server, err := a.Image(c.Context(), args[0])
			if err != nil {
				return err
			}
			i, err := server.RetrySBOM(c.Context(), ref)
			if err != nil {
				return err
			}
			return a.Print(i.Raw, func() error {
				return a.Say("the SBOM of %s@%s is made and read again; assay sbom status shows how far it is", i.Value.Repository, i.Value.Digest)
			})
		},
	}
	return a.WithServer(a.WithOutput(c))
}

func sbomHistory(a *cli.App) *cobra.Command {
	platform := ""
	c := &cobra.Command{
		Use: "history REPOSITORY:TAG", Short: "Say what changed, by packages, at each move of a tag", Args: cli.Exactly("REPOSITORY:TAG"),
		Long: `Say what changed, by packages, at each of the last 50 moves of a tag, the newest first. Of
what you may not pull, and of what is gone or was never described, only the digest is told.`,
		RunE: func(c *cobra.Command, args []string) error {
			ref, server, err := a.Image(c.Context(), args[0])
			if err != nil {
				return err
			}
			h, err := server.HistoryContents(c.Context(), ref, platform)
			if err != nil {
				return err
			}
			var rows [][]string
			for _, m := range h.Value.Moves {
				at, d := m.At.Format(time.RFC3339), cli.Short(string(m.Digest))
				switch {
				case m.Unknown != "":
					rows = append(rows, []string{at, d, "unknown", "", "", m.Unknown})
				case m.Difference == nil:
					rows = append(rows, []string{at, d, "packages", "", "", fmt.Sprint(m.Packages)})
				default:
					rows = append(rows, changes(at, d, m.Difference)...)
				}
			}
			return a.Rows(h.Raw, "no move of the tag is known", []string{"AT", "DIGEST", "WHAT", "PACKAGE", "FROM", "TO"}, rows)
		},
	}
	c.Flags().StringVar(&platform, "platform", "", "os/architecture[/variant], for an image with several")
	return a.WithServer(a.WithRows(c))
}

// changes are the rows of one move.
func changes(at, digest string, d *index.Difference) (rows [][]string) {
	for _, p := range d.Added {
		rows = append(rows, []string{at, digest, "added", p.Name, "", p.Version})
	}
	for _, p := range d.Removed {
		rows = append(rows, []string{at, digest, "removed", p.Name, p.Version, ""})
	}
	for _, ch := range d.Changed {
		rows = append(rows, []string{at, digest, "changed", ch.Name, strings.Join(ch.From, ", "), strings.Join(ch.To, ", ")})
	}
	if len(rows) == 0 {
		rows = [][]string{{at, digest, "no package changed", "", "", ""}}
	}
	return rows
}
