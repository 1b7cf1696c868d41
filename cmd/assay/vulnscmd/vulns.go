package vulnscmd

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/client"
	"github.com/assay-registry/assay/cmd/assay/docker"
	"github.com/assay-registry/assay/policy/contents"
	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/spf13/cobra"
)

// Command is assay vulns.
func Command(a *cli.App) *cobra.Command {
	var cve, platform string
	var repositories []string
	c := &cobra.Command{
		Use: "vulns REF | --cve ID", Short: "List the vulnerabilities of an image, or the images of a vulnerability", Args: cli.AtMost(1),
		Long: `List the vulnerabilities of an image, as the installed databases know them, with what
trusted VEX statements say of each; or, with --cve, the images that one is in, of those
that you may pull. The age of each database is always told. An ID is a CVE's, an alias,
or an advisory's. -o sarif is for one image: SARIF 2.1.0, as code hosts import it.`,
		Example: "  assay vulns acme/app:v1\n  assay vulns acme/app:v1 -o sarif > app.sarif\n  assay vulns --cve CVE-2021-44228 --repo 'acme/**' -o csv",
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) == 1 && cve == "" && len(repositories) == 0:
				return imageVulns(a, c.Context(), args[0], platform)
			case len(args) == 0 && cve != "" && platform == "" && a.Output != "sarif":
				return affected(a, c.Context(), cve, repositories)
			}
			return cli.Usage("name one image, or one vulnerability with --cve; --repo goes with --cve, --platform and -o sarif with an image")
		},
	}
	f := c.Flags()
	f.StringVar(&cve, "cve", "", "list the images that this vulnerability is in")
	f.StringVar(&platform, "platform", "", "os/architecture[/variant], for an image with several")
	f.StringArrayVar(&repositories, "repo", nil, "pattern of the repositories to look in; may be given several times")
	run := c.RunE
	c = a.WithRows(c)
	f.Lookup("output").Usage = "how to print: table, json, csv or sarif"
	checked := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		if a.Output == "sarif" {
			return run(c, args)
		}
		return checked(c, args)
	}
	return a.WithServer(c)
}

func imageVulns(a *cli.App, ctx context.Context, text, platform string) error {
	ref, server, err := a.Image(ctx, text)
	if err != nil {
		return err
	}
	v, err := allFindings(ctx, server, ref, platform, a.Output == "sarif")
	if err != nil {
		return err
	}
	var raw []byte
	if a.Output == "sarif" {
		if v.Unmatched != "" {
			return fmt.Errorf("the vulnerabilities of the image are not known: %s", v.Unmatched) // a file without results would say that there are none
		}
		if raw, err = json.Marshal(sarif(v, a.Release)); err != nil {
			return err
		}
		return cli.WriteJSON(a.Stdout, raw)
	}
	if raw, err = json.Marshal(v); err != nil {
		return err
	}
	var rows [][]string
	for i := range v.Findings {
		f := &v.Findings[i]
		rows = append(rows, append(findingRow(f), advisories(f)))
	}
	if a.Output == "table" && v.Unmatched != "" {
		if err := a.Say("nothing was compared with the image: %s", v.Unmatched); err != nil {
			return err
		}
		return sayDatabases(a, v.Databases)
	}
	if err := a.Rows(raw, "nothing was found", []string{"SEVERITY", "ID", "PACKAGE", "VERSION", "FIXED IN", "STATUS", "EPSS", "EXPLOITED", "ADVISORIES"}, rows); err != nil || a.Output != "table" {
		return err
	}
	return sayRest(a, v)
}

// allFindings follows the pages.
func allFindings(ctx context.Context, server *client.Client, ref docker.Ref, platform string, locations bool) (*contents.Vulnerabilities, error) {
	var all *contents.Vulnerabilities
	l := server.Listing()
	for after := ""; ; {
		page, err := server.Vulnerabilities(ctx, ref, platform, after, locations)
		if err == nil {
			err = l.Add(page.Raw)
		}
		if err != nil {
			return nil, err
		}
		if all == nil {
			all = &page.Value
		} else {
			all.Findings = append(all.Findings, page.Value.Findings...)
		}
		if after = page.Value.Next; after == "" {
			all.Next = ""
			return all, nil
		}
	}
}

// findingRow are the cells that both tables have.
func findingRow(f *contents.KnownFinding) []string {
	epss, exploited := "", ""
	if f.EPSS != nil {
		epss = fmt.Sprintf("%.3f", f.EPSS.Score)
	}
	if f.KEV != nil {
		exploited = "since " + f.KEV.Added.UTC().Format(time.DateOnly)
	}
	name := f.Package.Name
	return []string{f.Severity.String(), f.ID, name, f.Package.Version, strings.Join(f.Fixed, ", "), status(f), epss, exploited}
}

// status is what is to be made of a finding, and who said so.
func status(f *contents.KnownFinding) string {
	s := "affected"
	if f.State == "unknown" {
		s = "uncertain: " + f.Reason
	}
	if v := f.VEX; v != nil {
		s = fmt.Sprintf("%s (%s", v.Status, v.Authority)
		if why := v.Justification + v.Impact; why != "" {
			s += ": " + why
		}
		s += ")"
	}
	return s
}

func advisories(f *contents.KnownFinding) string {
	var names []string
	for _, r := range f.Advisories {
		if r.ID != f.ID {
			names = append(names, r.ID)
		}
	}
	return strings.Join(names, ", ")
}

func sayRest(a *cli.App, v *contents.Vulnerabilities) error {
	if v.Counts.Suppressed > 0 {
		if err := a.Say("statements excuse %d of them", v.Counts.Suppressed); err != nil {
			return err
		}
	}
	if len(v.Uncovered) > 0 {
		if err := a.Say("no database speaks of %s", strings.Join(uncovered(v), ", ")); err != nil {
			return err
		}
	}
	if v.Pending > 0 {
		if err := a.Say("%d packages are new and were compared just now", v.Pending); err != nil {
			return err
		}
	}
	return sayDatabases(a, v.Databases)
}

// uncovered are the ecosystems that nobody speaks of, with how many packages they have.
func uncovered(v *contents.Vulnerabilities) []string {
	list := make([]string, len(v.Uncovered))
	for i, name := range v.Uncovered {
		if list[i] = name; v.Unlooked[name] > 0 {
			list[i] = fmt.Sprintf("%s (%d)", name, v.Unlooked[name])
		}
	}
	return list
}

// sayDatabases tells the age of what an answer rests on.
func sayDatabases(a *cli.App, list []vulns.Database) error {
	if len(list) == 0 {
		return a.Say("no vulnerability database is installed; see assay vulndb --help")
	}
	var parts []string
	for _, d := range list {
		part := fmt.Sprintf("%s of %s (%s)", d.Name, d.Built.UTC().Format("2006-01-02 15:04"), age(a.Clock().Sub(d.Built)))
		if oldest := cli.OldestFile(d); !oldest.IsZero() {
			part = strings.TrimSuffix(part, ")") + ", its oldest file " + age(a.Clock().Sub(oldest)) + ")"
		}
		parts = append(parts, part)
	}
	return a.Say("databases: %s", strings.Join(parts, ", "))
}

func age(d time.Duration) string {
	switch hours := int(d.Hours()); {
	case hours < 1:
		return "new"
	case hours < 48:
		return fmt.Sprintf("%d hours old", hours)
	default:
		return fmt.Sprintf("%d days old", hours/24)
	}
}

func affected(a *cli.App, ctx context.Context, id string, repositories []string) error {
	server, err := a.Connect(ctx, "")
	if err != nil {
		return err
	}
	var all *contents.AffectedImages
	l := server.Listing()
	for after := ""; ; {
		page, err := server.AffectedImages(ctx, id, repositories, after)
		if err == nil {
			err = l.Add(page.Raw)
		}
		if err != nil {
			return err
		}
		if all == nil {
			all = &page.Value
		} else {
			all.Images = append(all.Images, page.Value.Images...)
			all.Pending = max(all.Pending, page.Value.Pending)
		}
		if after = page.Value.Next; after == "" {
			break
		}
	}
	all.Next = ""
	raw, err := json.Marshal(all)
	if err != nil {
		return err
	}
	var rows [][]string
	for i := range all.Images {
		image := &all.Images[i]
		for n := range image.Findings {
			rows = append(rows, append([]string{string(image.Repository), string(image.Digest), string(image.State)}, findingRow(&image.Findings[n])...))
		}
	}
	head := []string{"REPOSITORY", "DIGEST", "STATE", "SEVERITY", "ID", "PACKAGE", "VERSION", "FIXED IN", "STATUS", "EPSS", "EXPLOITED"}
	if err := a.Rows(raw, "nothing was found", head, rows); err != nil || a.Output != "table" {
		return err
	}
	if all.Pending > 0 {
		if err := a.Say("%d are not in the answer yet; ask again in a moment", all.Pending); err != nil {
			return err
		}
	}
	return sayDatabases(a, all.Databases)
}
