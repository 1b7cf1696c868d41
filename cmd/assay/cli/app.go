package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
)

// App is one run of the program. Commands are made with it, and add their flags to it.
type App struct {
	World
	Output string // table or json; csv for those that list
	Remote Remote
}

// Exactly takes n arguments, named for the message.
func Exactly(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return Usage("%s is missing; usage: %s", names[len(args)], c.UseLine())
		case len(args) > len(names):
			return Usage("%q is one argument too many; usage: %s", args[len(names)], c.UseLine())
		}
		return nil
	}
}

// AtLeast takes an argument for each name, or more.
func AtLeast(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return Usage("%s is missing; usage: %s", names[len(args)], c.UseLine())
		}
		return nil
	}
}

// Optionally takes an argument for each name, and one more.
func Optionally(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := AtLeast(names...)(c, args); err != nil {
			return err
		}
		return AtMost(len(names)+1)(c, args)
	}
}

// AtMost takes up to n arguments.
func AtMost(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > n {
			return Usage("%q is one argument too many; usage: %s", args[n], c.UseLine())
		}
		return nil
	}
}

// WithOutput gives a command the flag -o.
func (a *App) WithOutput(c *cobra.Command) *cobra.Command {
	c.Flags().StringVarP(&a.Output, "output", "o", "table", "how to print: table or json")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp))
	run := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		if a.Output != "table" && a.Output != "json" {
			return Usage("%q is no way to print; use table or json", a.Output)
		}
		return run(c, args)
	}
	return c
}

// Print writes raw JSON, or what human prints.
func (a *App) Print(raw []byte, human func() error) error {
	if a.Output != "json" {
		return human()
	}
	if len(raw) == 0 {
		raw = []byte("{}")
	}
	return WriteJSON(a.Stdout, raw)
}

// PrintValue is print for a value of our own.
func (a *App) PrintValue(v any, human func() error) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return a.Print(raw, human)
}

// Warn tells, beside what is printed, what somebody should know of what was done nevertheless.
func (a *App) Warn(text string) {
	fmt.Fprintln(a.Stderr, "assay: warning: "+Printable(text))
}

// Say prints a line of the table form.
func (a *App) Say(format string, args ...any) error {
	_, err := fmt.Fprintln(a.Stdout, PrintableLines(fmt.Sprintf(format, args...)))
	return err
}
