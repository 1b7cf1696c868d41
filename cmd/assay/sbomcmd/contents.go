package sbomcmd

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/client"
	"github.com/assay-registry/assay/cmd/assay/docker"
	"github.com/assay-registry/assay/policy/contents"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/spf13/cobra"
)

func sbomQuery(a *cli.App) *cobra.Command {
	var q client.ContentQuery
	c := &cobra.Command{
		Use: "query [PACKAGE] [--license ID]", Short: "Find the images that hold a package", Args: cli.AtMost(1),
		Long: `Find the images that hold a package, of those that you may pull. PACKAGE is a package
URL without version (pkg:npm/left-pad), one with * for any characters (*log4j*), or a
bare name; @VERSION or @RANGE behind it restricts the version, by the rules of the
package's ecosystem: @<2.17.1, @>=1.2,<2, @vers:npm/>=1.0|<2.`,
		Example: "  assay sbom query 'pkg:maven/org.apache.logging.log4j/log4j-core@<2.17.1'\n  assay sbom query --license GPL-3.0-only --repo 'acme/**' -o csv",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				q.Package = args[0]
			}
			if q.Package == "" && q.License == "" {
				return cli.Usage("say what is looked for: a PACKAGE, --license, or both")
			}
			server, err := a.Connect(c.Context(), "")
			if err != nil {
				return err
			}
			return query(a, c, server, q)
		},
	}
	f := c.Flags()
	f.StringVar(&q.License, "license", "", "SPDX identifier or name of a licence; * for any characters")
	f.StringArrayVar(&q.Repositories, "repo", nil, "pattern of the repositories to look in; may be given several times")
	f.StringVar(&q.State, "state", "", "only images in these states, separated by commas: admitted, quarantined, pending, revoked, expired")
	f.StringVar(&q.Newer, "newer", "", "only images first seen since: an age such as 36h or 30d, or a time such as 2026-01-31T00:00:00Z")
	f.StringVar(&q.Older, "older", "", "only images first seen before: an age, or a time")
	f.IntVar(&q.Limit, "limit", 0, "stop after so many images; 0 for all")
	return a.WithServer(a.WithRows(c))
}

// query follows the pages of an answer.
func query(a *cli.App, c *cobra.Command, from *client.Client, q client.ContentQuery) error {
	all := contents.Page{Images: []contents.Match{}}
	wanted, l := q.Limit, from.Listing()
	for {
		if q.Limit = 1000; wanted > 0 {
			q.Limit = min(q.Limit, wanted-len(all.Images))
		}
		page, err := from.QueryContents(c.Context(), q)
		if err == nil {
			err = l.Add(page.Raw)
		}
		if err != nil {
			return err
		}
		all.Images = append(all.Images, page.Value.Images...)
		all.Pending, all.Uncompared = page.Value.Pending, page.Value.Uncompared
		if q.After = page.Value.Next; q.After == "" || wanted > 0 && len(all.Images) >= wanted {
			break
		}
	}
	var rows [][]string
	for _, i := range all.Images {
		for _, p := range i.Packages {
			rows = append(rows, []string{string(i.Repository), string(i.Digest), packageName(p), p.Version, strings.Join(p.Licenses, ", "), i.Origin.Kind})
		}
	}
	raw, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return a.Rows(raw, "nothing was found", []string{"REPOSITORY", "DIGEST", "PACKAGE", "VERSION", "LICENCES", "SBOM"}, rows)
}

func packageName(p index.PackageVersion) string {
	if p.PURL != "" {
		return p.PURL
	}
	return p.Name
}

func sbomList(a *cli.App) *cobra.Command {
	platform := ""
	c := &cobra.Command{
		Use: "list REF", Short: "List what an image contains", Args: cli.Exactly("REF"),
		RunE: func(c *cobra.Command, args []string) error {
			ref, server, err := a.Image(c.Context(), args[0])
			if err != nil {
				return err
			}
			list, err := server.Contents(c.Context(), ref, platform)
			if err != nil {
				return err
			}
			var rows [][]string
			for _, p := range list.Value.Packages {
				rows = append(rows, []string{p.Type, packageName(p), p.Version, strings.Join(p.Licenses, ", ")})
			}
			if err := a.Rows(list.Raw, "no package was found in the image", []string{"TYPE", "PACKAGE", "VERSION", "LICENCES"}, rows); err != nil || a.Output != "table" {
				return err
			}
			if d := list.Value.Drift; d != nil {
				fmt.Fprintf(a.Stderr, "this is what %s says; declared and not found: %d, found and not declared: %d (assay sbom drift %s)\n", whoSays(&list.Value), d.Absent, d.Undeclared, args[0])
			}
			return nil
		},
	}
	c.Flags().StringVar(&platform, "platform", "", "os/architecture[/variant], for an image with several")
	return a.WithServer(a.WithRows(c))
}

// whoSays names the SBOM that a list is from.
func whoSays(l *contents.List) string {
	switch {
	case l.Origin.Kind == "generated":
		return "the registry's own SBOM"
	case l.Origin.Signer != "":
		return "the SBOM signed by " + cli.Printable(l.Origin.Signer)
	}
	return "an unsigned SBOM"
}

func sbomDrift(a *cli.App) *cobra.Command {
	platform := ""
	c := &cobra.Command{
		Use: "drift REF", Short: "Compare what a client's SBOM declares with what the registry found", Args: cli.Exactly("REF"),
		Long: `Compare what a client's SBOM declares about an image with what the registry found in it,
by name and version of packages: what is declared and absent, what is there and
undeclared; the first 100 of each. Policies read the numbers as input.sbom.drift.`,
		RunE: func(c *cobra.Command, args []string) error {
			ref, server, err := a.Image(c.Context(), args[0])
			if err != nil {
				return err
			}
			d, err := server.DriftContents(c.Context(), ref, platform)
			if err != nil {
				return err
			}
			var rows [][]string
			for _, p := range d.Value.AbsentList {
				rows = append(rows, []string{"absent", p})
			}
			for _, p := range d.Value.UndeclaredList {
				rows = append(rows, []string{"undeclared", p})
			}
			if err := a.Rows(d.Raw, "what is declared is what was found", []string{"WHAT", "PACKAGE"}, rows); err != nil || a.Output != "table" {
				return err
			}
			if more := d.Value.Absent + d.Value.Undeclared - len(rows); more > 0 {
				fmt.Fprintf(a.Stderr, "and %d more: %d are absent, %d undeclared in all\n", more, d.Value.Absent, d.Value.Undeclared)
			}
			return nil
		},
	}
	c.Flags().StringVar(&platform, "platform", "", "os/architecture[/variant], for an image with several")
	return a.WithServer(a.WithRows(c))
}

func sbomWhy(a *cli.App) *cobra.Command {
	platform := ""
	c := &cobra.Command{
		Use: "why REF PACKAGE", Short: "Say where a package is in an image, and what needs it", Args: cli.Exactly("REF", "PACKAGE"),
		RunE: func(c *cobra.Command, args []string) error {
			ref, server, err := a.Image(c.Context(), args[0])
			if err != nil {
				return err
			}
			why, err := server.WhyContents(c.Context(), ref, platform, args[1])
			if err != nil {
				return err
			}
			var rows [][]string
			for _, r := range why.Value.Reasons {
				name := r.Package.PURL
				if name == "" {
					name = r.Package.Name
				}
				var paths []string
				for _, l := range r.Package.Locations {
					paths = append(paths, strings.TrimSpace(l.Path+" "+cli.Short(string(l.Layer))))
				}
				rows = append(rows, []string{name, strings.Join(paths, ", "), strings.Join(r.Path, " > ")})
			}
			if len(rows) == 0 {
				return &cli.Failure{Code: cli.ExitNotFound, Err: fmt.Errorf("no package %q is in the image", args[1])}
			}
			return a.Rows(why.Raw, "nothing was found", []string{"PACKAGE", "FOUND AT", "NEEDED BY"}, rows)
		},
	}
	c.Flags().StringVar(&platform, "platform", "", "os/architecture[/variant], for an image with several")
	return a.WithServer(a.WithRows(c))
}

func sbomDiff(a *cli.App) *cobra.Command {
	platform := ""
	c := &cobra.Command{
		Use: "diff REF REF", Short: "Compare what two images contain", Args: cli.Exactly("REF", "REF"),
		RunE: func(c *cobra.Command, args []string) error {
			from, server, err := a.Image(c.Context(), args[0])
			if err != nil {
				return err
			}
			to, err := docker.ParseRef(args[1])
			if err != nil {
				return cli.Usage("%w", err)
			}
			if to.Host != "" && to.Host != from.Host {
				return cli.Usage("the two images are compared where they both are; %s is elsewhere", args[1])
			}
			d, err := server.DiffContents(c.Context(), from, to, platform)
			if err != nil {
				return err
			}
			var rows [][]string
			for _, p := range d.Value.Added {
				rows = append(rows, []string{"added", p.Name, "", p.Version})
			}
			for _, p := range d.Value.Removed {
				rows = append(rows, []string{"removed", p.Name, p.Version, ""})
			}
			for _, ch := range d.Value.Changed {
				rows = append(rows, []string{"changed", ch.Name, strings.Join(ch.From, ", "), strings.Join(ch.To, ", ")})
			}
			return a.Rows(d.Raw, "the two images contain the same packages", []string{"WHAT", "PACKAGE", "FROM", "TO"}, rows)
		},
	}
	c.Flags().StringVar(&platform, "platform", "", "os/architecture[/variant], for images with several")
	return a.WithServer(a.WithRows(c))
}
