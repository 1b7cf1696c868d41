package cli

import (
	"encoding/csv"
	"strings"

	"github.com/spf13/cobra"
)

// WithRows gives a command that lists the third way to print.
func (a *App) WithRows(c *cobra.Command) *cobra.Command {
	run := c.RunE
	c = a.WithOutput(c)
	c.Flags().Lookup("output").Usage = "how to print: table, json or csv"
	checked := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		if a.Output == "csv" {
			return run(c, args)
		}
		return checked(c, args)
	}
	return c
}

// Rows prints a list: a table for people, CSV (RFC 4180) for spreadsheets. A cell that a spreadsheet would take for a formula is made text. Where the
// list is empty, none says to people what that means.
func (a *App) Rows(raw []byte, none string, head []string, list [][]string) error {
	switch a.Output {
	case "json":
		return a.Print(raw, nil)
	case "csv":
		w := csv.NewWriter(a.Stdout)
		for _, row := range append([][]string{head}, list...) {
			for i, cell := range row {
				if cell = Printable(cell); cell != "" && strings.ContainsRune("=+-@\t", rune(cell[0])) {
					cell = "'" + cell
				}
				row[i] = cell
			}
			if err := w.Write(row); err != nil {
				return err
			}
		}
		w.Flush()
		return w.Error()
	}
	if len(list) == 0 {
		return a.Say("%s", none)
	}
	return Table(a.Stdout, head, list)
}
