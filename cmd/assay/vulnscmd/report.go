package vulnscmd

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/client"
	"github.com/assay-registry/assay/policy/census"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

// ReportCommand is assay report.
func ReportCommand(a *cli.App) *cobra.Command {
	var repositories []string
	c := &cobra.Command{
		Use: "report", Short: "Count what the registry holds", Args: cli.Exactly(),
		Long: `Count images, packages, licences and vulnerabilities, of what you may pull: by
repository and in total, with what is signed, what has an SBOM, and what waits. An image
of several platforms is an index and that many images. FIXABLE is of the critical and
high findings; all are counted, whatever statements say of them.`,
		Example: "  assay report\n  assay report --repo 'acme/**' -o csv",
		RunE: func(c *cobra.Command, args []string) error {
			server, err := a.Connect(c.Context(), "")
			if err != nil {
				return err
			}
			e, err := wholeEstate(c.Context(), server, repositories)
			if err != nil {
				return err
			}
			return printEstate(a, e)
		},
	}
	c.Flags().StringArrayVar(&repositories, "repo", nil, "pattern of the repositories to count; may be given several times")
	return a.WithServer(a.WithRows(c))
}

// wholeEstate follows the pages; the total comes with the first.
func wholeEstate(ctx context.Context, from *client.Client, repositories []string) (*census.Report, error) {
	var all *census.Report
	l := from.Listing()
	for after := ""; ; {
		page, err := from.Estate(ctx, repositories, after)
		if err == nil {
			err = l.Add(page.Raw)
		}
		if err != nil {
			return nil, err
		}
		if all == nil {
			all = &page.Value
		} else {
			all.Repositories = append(all.Repositories, page.Value.Repositories...)
			all.Partial = all.Partial || page.Value.Partial
		}
		if after = page.Value.Next; after == "" {
			all.Next = ""
			return all, nil
		}
	}
}

func printEstate(a *cli.App, e *census.Report) error {
	raw, err := json.Marshal(e)
	if err != nil {
		return err
	}
	head := []string{"REPOSITORY", "IMAGES", "ADMITTED", "WAITING", "REFUSED", "SIGNED", "SBOM", "PACKAGES", "VERSIONS", "COPYLEFT", "UNLICENSED", "CRITICAL", "HIGH", "FIXABLE"}
	var rows [][]string
	for i := range e.Repositories {
		rows = append(rows, estateRow(string(e.Repositories[i].Repository), &e.Repositories[i]))
	}
	if e.Total != nil && a.Output != "csv" && len(rows) > 0 {
		rows = append(rows, estateRow("total", e.Total))
	}
	if err := a.Rows(raw, "nothing was found", head, rows); err != nil || a.Output != "table" || e.Total == nil || len(rows) == 0 {
		return err
	}
	if len(e.Licenses) > 0 {
		var most []string
		for _, l := range e.Licenses[:min(len(e.Licenses), 10)] {
			most = append(most, fmt.Sprintf("%s %d", l.License, l.Versions))
		}
		if err := a.Say("most licences: %s", strings.Join(most, ", ")); err != nil {
			return err
		}
	}
	if len(e.Total.SBOM) > 0 {
		var kinds []string
		for _, kind := range slices.Sorted(maps.Keys(e.Total.SBOM)) {
			kinds = append(kinds, fmt.Sprintf("%s %d", kind, e.Total.SBOM[kind]))
		}
		if err := a.Say("SBOMs: %s", strings.Join(kinds, ", ")); err != nil {
			return err
		}
	}
	if v := e.Total.Vulnerabilities; v != nil && v.Uncovered > 0 {
		if err := a.Say("no database speaks of packages of %d images; assay vulns lists which", v.Uncovered); err != nil {
			return err
		}
	}
	if err := sayDatabases(a, e.Databases); err != nil {
		return err
	}
	if e.Partial {
		return a.Say("there is more than one report looks at: the total is of the first %d manifests; name repositories with --repo", e.LookedAt)
	}
	return nil
}

func estateRow(name string, r *census.Row) []string {
	refused := r.States[store.StateQuarantined] + r.States[store.StateRevoked]
	cells := []int{r.Images, r.States[store.StateAdmitted], r.States[store.StatePending], refused, r.Signed, r.Images - r.SBOM["none"], r.Packages, r.Versions,
		r.Licenses[sbom.CategoryCopyleft] + r.Licenses[sbom.CategoryNetwork], r.Licenses["none"]}
	row := []string{name}
	for _, n := range cells {
		row = append(row, strconv.Itoa(n))
	}
	v := r.Vulnerabilities
	if v == nil {
		return append(row, "", "", "")
	}
	return append(row, strconv.Itoa(v.Counts["critical"]), strconv.Itoa(v.Counts["high"]), strconv.Itoa(v.Fixable["critical"]+v.Fixable["high"]))
}
