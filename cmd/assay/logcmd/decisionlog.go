package logcmd

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/spf13/cobra"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/client"
	"github.com/assay-registry/assay/policy/decisionlog"
	"github.com/assay-registry/assay/policy/journal"
)

// DecisionsCommand is assay decisions.
func DecisionsCommand(a *cli.App) *cobra.Command {
	c := cli.Group(&cobra.Command{
		Use: "decisions", Short: "Ask the decision log: verdicts, and what was refused to whom",
		Long: `Ask the decision log: verdicts, and what was refused to whom. Its lines are chained, and
its end is signed. Keep a checkpoint elsewhere, and assay decisions verify --checkpoint
shows whether anything was changed, cut off, or put back from an older copy since.`,
	})
	c.AddCommand(decisionsList(a), decisionsExport(a), logCheckpoint(a, "decisions"), logVerify(a, "decisions"))
	return c
}

// sinceOf reads a time, or how long ago.
func sinceOf(a *cli.App, flag, s string) (string, error) {
	if s == "" {
		return "", nil
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return a.Clock().Add(-d).UTC().Format(time.RFC3339), nil
	}
	if _, err := time.Parse(time.RFC3339, s); err != nil {
		return "", cli.Usage("--%s is a time such as 2026-01-02T15:04:05Z, or how long ago, such as 24h", flag)
	}
	return s, nil
}

func decisionsList(a *cli.App) *cobra.Command {
	var repo, digest, actor, code, since, until string
	most := 0
	c := &cobra.Command{
		Use: "list", Short: "List verdicts and refusals, newest first", Args: cli.Exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			if most < 1 {
				return cli.Usage("--limit is a number of lines")
			}
			q := url.Values{}
			for name, value := range map[string]string{"repository": repo, "digest": digest, "actor": actor, "code": code} {
				if value != "" {
					q.Set(name, value)
				}
			}
			for name, value := range map[string]string{"since": since, "until": until} {
				at, err := sinceOf(a, name, value)
				if err != nil {
					return err
				}
				if at != "" {
					q.Set(name, at)
				}
			}
			server, err := a.Connect(c.Context(), "")
			if err != nil {
				return err
			}
			page := decisionlog.Page{Events: []decisionlog.Event{}}
			l := server.Listing()
			for len(page.Events) < most {
				q.Set("n", strconv.Itoa(min(most-len(page.Events), 1000)))
				some, err := server.Decisions(c.Context(), q)
				if err == nil {
					err = l.Add(some.Raw)
				}
				if err != nil {
					return err
				}
				page.Events, page.Next = append(page.Events, some.Value.Events...), some.Value.Next
				if page.Next == 0 {
					break
				}
				q.Set("before", strconv.FormatUint(page.Next, 10))
			}
			return a.PrintValue(page, func() error { return listed(a, page.Events) })
		},
	}
	f := c.Flags()
	f.StringVar(&repo, "repo", "", "only this repository")
	f.StringVar(&digest, "digest", "", "only this digest")
	f.StringVar(&actor, "actor", "", "only this user")
	f.StringVar(&code, "code", "", "only this code, such as signature.missing or UNAUTHORIZED")
	f.StringVar(&since, "since", "", "only from this time on, or so long ago: 24h")
	f.StringVar(&until, "until", "", "only before this time")
	f.IntVar(&most, "limit", 100, "at most this many lines")
	return a.WithServer(a.WithOutput(c))
}

func listed(a *cli.App, events []decisionlog.Event) error {
	var rows [][]string
	for _, e := range events {
		what := string(e.Input.Repository)
		if e.Input.Reference != "" {
			what += ":" + e.Input.Reference
		}
		if e.Input.Digest != "" {
			what += "@" + cli.Short(string(e.Input.Digest))
		}
		code, answer := e.Result.Code, string(e.Result.State)
		if code == "" {
			code = e.Result.Error
		}
		if answer == "" {
			answer = strconv.Itoa(e.Result.Status)
		}
		rows = append(rows, []string{cli.Moment(e.Timestamp), strconv.FormatUint(e.Count, 10), e.Input.Actor, e.RequestedBy, e.Path, what, answer, code})
	}
	return cli.Table(a.Stdout, []string{"AT", "TIMES", "WHO", "FROM", "ASKED", "FOR", "ANSWER", "CODE"}, rows)
}

func decisionsExport(a *cli.App) *cobra.Command {
	since := ""
	c := &cobra.Command{
		Use: "export", Short: "Write the lines of the decision log as they stand, oldest first, one JSON document each", Args: cli.Exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			q := url.Values{}
			at, err := sinceOf(a, "since", since)
			if err != nil {
				return err
			}
			if at != "" {
				q.Set("since", at)
			}
			server, err := a.Connect(c.Context(), "")
			if err != nil {
				return err
			}
			return server.ExportDecisions(c.Context(), q, a.Stdout)
		},
	}
	c.Flags().StringVar(&since, "since", "", "only from this time on, or so long ago: 24h")
	return a.WithServer(c)
}

// logCheckpoint and logVerify are commands of both logs: decisions and audit.
func logCheckpoint(a *cli.App, log string) *cobra.Command {
	return a.WithServer(a.WithOutput(&cobra.Command{
		Use: "checkpoint", Short: "Print the signed end of the log, to be kept elsewhere", Args: cli.Exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			return cli.Asked(a, c.Context(), func(s *client.Client, ctx context.Context) (*client.Answer[journal.Checkpoint], error) {
				return s.Checkpoint(ctx, log)
			}, func(at *journal.Checkpoint) error {
				_, err := fmt.Fprint(a.Stdout, cli.PrintableLines(at.Note))
				return err
			})
		},
	}))
}

// maxCheckpoint bounds a checkpoint that was kept, in bytes.
const maxCheckpoint = 64 << 10

func logVerify(a *cli.App, log string) *cobra.Command {
	kept, data := "", ""
	c := &cobra.Command{
		Use: "verify", Short: "Follow the log's chain, and compare it with a checkpoint that was kept", Args: cli.Exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			note := ""
			if kept != "" {
				text, err := a.ReadFile(kept, maxCheckpoint)
				if err != nil {
					return err
				}
				note = string(text)
			}
			if data != "" {
				report, err := verifyDirectory(a.Path(data), note)
				if err != nil {
					return err
				}
				return logReport(a, report)
			}
			server, err := a.Connect(c.Context(), "")
			if err != nil {
				return err
			}
			var report *client.Answer[journal.Report]
			if report, err = server.VerifyLog(c.Context(), log, note); err != nil {
				return err
			}
			return logReport(a, &report.Value)
		},
	}
	c.Flags().StringVar(&kept, "checkpoint", "", "file with a checkpoint that was kept elsewhere")
	if log == "decisions" {
		c.Flags().StringVar(&data, "data", "", "read this data directory instead of asking a server")
		_ = c.MarkFlagDirname("data")
	}
	return a.WithServer(a.WithOutput(c))
}

func logReport(a *cli.App, r *journal.Report) error {
	if err := a.PrintValue(r, func() error {
		for _, p := range r.Problems {
			if err := a.Say("%s", p); err != nil {
				return err
			}
		}
		if !r.OK {
			return nil
		}
		return a.Say("%s: %d records, none of them changed, up to number %d", r.Log, r.Records, r.Size)
	}); err != nil {
		return err
	}
	if !r.OK {
		return &cli.Failure{Code: cli.ExitError}
	}
	return nil
}

// verifyDirectory follows the decision log of a data directory with its public key alone.
func verifyDirectory(data, note string) (*journal.Report, error) {
	dir := &place.Directory{Path: data}
	text, err := os.ReadFile(filepath.Join(dir.Keys(), place.KeyLog+".pub"))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s is no key in PEM", filepath.Join(dir.Keys(), place.KeyLog+".pub"))
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	j := journal.Read(journal.Options{Log: journal.Decisions, Segments: place.SegmentFiles(dir.Decisions()), Public: public})
	var kept []*journal.Checkpoint
	if note != "" {
		c, err := j.Parse(note)
		if err != nil {
			return nil, err
		}
		kept = append(kept, c)
	}
	return j.Verify(kept...)
}
