package main

import (
	"strings"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/policies"
	"github.com/assay-registry/assay/server"
	"github.com/spf13/cobra"
)

// documents are what the catalogue and the schemas of package policies say.
type documents struct{}

// Schema implements server.Documents.
func (documents) Schema(name string) ([]byte, bool) {
	switch name {
	case "policy.input.v1":
		return policies.InputSchema(), true
	case "policy.result.v1":
		return policies.ResultSchema(), true
	}
	return nil, false
}

// Code implements server.Documents.
func (documents) Code(name string) (server.CodePage, bool) {
	for _, c := range policies.Catalogue() {
		if c.Name == name {
			page, _ := policies.Page(name)
			return server.CodePage{Code: c.Name, Meaning: c.Meaning, Remedy: c.Remedy, Page: page}, true
		}
	}
	return server.CodePage{}, false
}

func policyCodes(a *cli.App) *cobra.Command {
	return a.WithOutput(&cobra.Command{
		Use: "codes [CODE]", Short: "Say what reason codes mean, and what helps", Args: cobra.MaximumNArgs(1),
		Example: "  assay policy codes\n  assay policy codes signature.missing",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				page, ok := documents{}.Code(args[0])
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
