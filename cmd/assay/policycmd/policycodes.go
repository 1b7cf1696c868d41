package policycmd

import (
	"strings"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/rules"
	"github.com/assay-registry/assay/policies"
	"github.com/assay-registry/assay/server"
	"github.com/spf13/cobra"
)

func policyCodes(a *cli.App) *cobra.Command {
	return a.WithOutput(&cobra.Command{
		Use: "codes [CODE]", Short: "Say what reason codes mean, and what helps", Args: cli.AtMost(1),
		Example: "  assay policy codes\n  assay policy codes signature.missing",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				page, ok := rules.Documents{}.Code(args[0])
				if !ok {
					return cli.Usage("there is no code %q in the catalogue; assay policy codes lists them, and policies of your own may use others", args[0])
				}
				return a.PrintValue(page, func() error { return a.Say("%s", strings.TrimSuffix(page.Page, "\n")) })
			}
			all := []server.CodePage{}
			var rows [][]string
			for _, c := range policies.Catalogue() {
				all = append(all, server.CodePage{Code: c.Name, Meaning: c.Meaning, Remedy: c.Remedy})
				rows = append(rows, []string{c.Name, c.Meaning, c.Remedy})
			}
			return a.PrintValue(all, func() error { return cli.Table(a.Stdout, []string{"CODE", "MEANING", "REMEDY"}, rows) })
		},
	})
}
