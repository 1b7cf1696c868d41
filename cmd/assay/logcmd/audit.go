package logcmd

import (
	"encoding/json"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/policy"
	"github.com/spf13/cobra"
)

// auditPage is how many records are asked for at a time.
const auditPage = 500

// AuditCommand is assay audit.
func AuditCommand(a *cli.App) *cobra.Command {
	after, most := "", 0
	c := &cobra.Command{
		Use: "audit", Short: "List who changed what, oldest first", Args: cli.Exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			if most < 0 {
				return cli.Usage("--limit is a number of records, 0 for all")
			}
			server, err := a.Connect(c.Context(), "")
			if err != nil {
				return err
			}
			records := []policy.AuditRecord{}
			l := server.Listing()
			for most == 0 || len(records) < most {
				n := auditPage
				if most > 0 {
					n = min(n, most-len(records))
				}
				page, err := server.Audit(c.Context(), after, n)
				if err == nil {
					err = l.Add(page.Raw)
				}
				if err != nil {
					return err
				}
				records = append(records, page.Value.Records...)
				if page.Value.Next == "" || page.Value.Next == after {
					break
				}
				after = page.Value.Next
			}
			return audited(a, records, after)
		},
	}
	c.Flags().StringVar(&after, "after", "", "continue after this place, as -o json shows it in next")
	c.Flags().IntVar(&most, "limit", 0, "at most this many records; 0 for all")
	c.AddCommand(logCheckpoint(a, "audit"), logVerify(a, "audit"))
	return a.WithServer(a.WithOutput(c))
}

// why is the reason of a record, and what made the change necessary.
func why(r policy.AuditRecord) string {
	if r.By == "" {
		return r.Reason
	}
	verb := "came"
	switch r.Action {
	case "delete", "withdraw", "expire", "forget":
		verb = "went"
	}
	after := "after " + cli.Short(string(r.By)) + " " + verb
	if r.Reason == "" {
		return after
	}
	return after + ": " + r.Reason
}

func audited(a *cli.App, records []policy.AuditRecord, next string) error {
	raw, err := json.Marshal(struct {
		Records []policy.AuditRecord `json:"records"`
		Next    string               `json:"next"`
	}{records, next})
	if err != nil {
		return err
	}
	return a.Print(raw, func() error {
		var rows [][]string
		for _, r := range records {
			what := string(r.Repository)
			if r.Tag != "" {
				what += ":" + r.Tag
			}
			if r.Digest != "" {
				what += "@" + cli.Short(string(r.Digest))
			}
			change := string(r.To)
			if r.From != "" {
				change = string(r.From) + " to " + change
			}
			rows = append(rows, []string{cli.Moment(r.At), r.Actor, r.Action, what, change, why(r)})
		}
		return cli.Table(a.Stdout, []string{"AT", "WHO", "DID", "TO", "STATE", "WHY"}, rows)
	})
}
