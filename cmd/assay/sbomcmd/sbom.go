package sbomcmd

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/sbom"
	"github.com/spf13/cobra"
)

// Command is assay sbom.
func Command(a *cli.App) *cobra.Command {
	c := cli.Group(&cobra.Command{Use: "sbom", Short: "Read software bills of materials"})
	var format, platform, file string
	get := &cobra.Command{
		Use: "get REF", Short: "Fetch the SBOM of an image", Args: cli.Exactly("REF"),
		Long: `Fetch the newest SBOM that is attached to an image, as it is stored: its bytes are
checked against their digest. On a terminal, control characters are escaped.`,
		Example: "  assay sbom get acme/app:v1 --platform linux/amd64 > app.spdx.json",
		RunE: func(c *cobra.Command, args []string) error {
			if format != string(sbom.SPDX) && format != string(sbom.CycloneDX) {
				return cli.Usage("%q is no format; use %s or %s", format, sbom.SPDX, sbom.CycloneDX)
			}
			ref, server, err := a.Image(c.Context(), args[0])
			if err != nil {
				return err
			}
			doc, err := server.SBOM(c.Context(), ref, sbom.Format(format), platform)
			if err != nil {
				return err
			}
			switch {
			case file != "":
				if err := os.WriteFile(a.Path(file), doc.Bytes, 0o644); err != nil {
					return err
				}
				fmt.Fprintf(a.Stderr, "%s of %s\n", doc.Digest, doc.Subject)
				return nil
			case !a.Terminal(a.Stdout):
				_, err = a.Stdout.Write(doc.Bytes)
				return err
			case json.Valid(doc.Bytes):
				_, err = a.Stdout.Write(append(cli.EscapeJSON(doc.Bytes), '\n'))
				return err
			default:
				return a.Say("%s", doc.Bytes)
			}
		},
	}
	f := get.Flags()
	f.StringVar(&format, "format", string(sbom.SPDX), "spdx-json or cyclonedx-json")
	f.StringVar(&platform, "platform", "", "os/architecture[/variant], for an image with several")
	f.StringVar(&file, "file", "", "write to this file instead of standard output")
	_ = get.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{string(sbom.SPDX), string(sbom.CycloneDX)}, cobra.ShellCompDirectiveNoFileComp))
	c.AddCommand(sbomQuery(a), sbomList(a), sbomWhy(a), sbomDiff(a), sbomDrift(a), sbomHistory(a), sbomStatus(a), sbomRetry(a))
	c.AddCommand(a.WithServer(a.WithOutput(get))) // both ways print the document: it is JSON
	return c
}
