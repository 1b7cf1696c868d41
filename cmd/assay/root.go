package main

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

const rootHelp = `Assay is a registry that gates what it holds: what is pushed waits in quarantine
until someone you trust has signed it.

Start one:      assay serve
Log in:         assay login
Trust a key:    assay trust add release --key cosign.pub --repositories 'acme/**'
See why:        assay explain acme/app:v1

Commands that ask a server find it by --server, else ASSAY_SERVER, else the host in
the image's reference, else http://127.0.0.1:5000; and credentials in ASSAY_USER and
ASSAY_PASSWORD (for --server and ASSAY_SERVER), else where docker keeps them.

Exit codes: 0 success, 1 error, 2 not understood, 3 refused or not allowed, 4 not found.`

// app is one run of the program.
type app struct {
	world
	output string // table or json
	remote remote
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, w world, args []string) int {
	a := &app{world: w}
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if text := sentence(err); text != "" {
		fmt.Fprintln(a.stderr, "assay: "+printableLines(text))
	}
	return exitCode(err)
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use: "assay", Short: "A registry that gates what it holds", Long: rootHelp, Version: versionText(),
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage("%w; see %s --help", err, c.CommandPath())
	})
	root.AddCommand(
		a.serve(), a.doctor(), a.config(), a.version(), a.check(), a.policy(),
		a.login(), a.logout(), a.key(), a.sign(), a.attest(), a.trust(), a.user(), a.repo(), a.tree(), a.verify(), a.explain(), a.obligations(), a.decision(), a.sbom(), a.vulns(), a.vulndb(), a.report(),
		a.revoke(), a.revocation(), a.restore(), a.audit(), a.waiver(), a.decisions(), a.tuf(), a.tufConformance(), a.kubernetes(),
	)
	group(root)
	return root
}

// group makes a command that only holds others: asked for something that it does not hold, it says what is near.
func group(c *cobra.Command) *cobra.Command {
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		c.SuggestionsMinimumDistance = 2
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			return usage("there is no command %q; did you mean %s %s?", args[0], c.CommandPath(), strings.Join(near, " or "))
		}
		return usage("there is no command %q; see %s --help", args[0], c.CommandPath())
	}
	return c
}

// exactly takes n arguments, named for the message.
func exactly(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usage("%s is missing; usage: %s", names[len(args)], c.UseLine())
		case len(args) > len(names):
			return usage("%q is one argument too many; usage: %s", args[len(names)], c.UseLine())
		}
		return nil
	}
}

// atLeast takes one argument or more, atMost up to n.
func atLeast(name string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usage("%s is missing; usage: %s", name, c.UseLine())
		}
		return nil
	}
}

func atMost(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > n {
			return usage("%q is one argument too many; usage: %s", args[n], c.UseLine())
		}
		return nil
	}
}

// withOutput gives a command the flag -o.
func (a *app) withOutput(c *cobra.Command) *cobra.Command {
	c.Flags().StringVarP(&a.output, "output", "o", "table", "how to print: table or json")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp))
	run := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		if a.output != "table" && a.output != "json" {
			return usage("%q is no way to print; use table or json", a.output)
		}
		return run(c, args)
	}
	return c
}

// print writes raw JSON, or what human prints.
func (a *app) print(raw []byte, human func() error) error {
	if a.output != "json" {
		return human()
	}
	if len(raw) == 0 {
		raw = []byte("{}")
	}
	return writeJSON(a.stdout, raw)
}

// printValue is print for a value of our own.
func (a *app) printValue(v any, human func() error) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return a.print(raw, human)
}

// say prints a line of the table form.
func (a *app) say(format string, args ...any) error {
	_, err := fmt.Fprintln(a.stdout, printableLines(fmt.Sprintf(format, args...)))
	return err
}

func versionText() string {
	v := version
	if v == "" {
		v = "unknown"
		if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
			v = info.Main.Version
		}
	}
	return v
}

func (a *app) version() *cobra.Command {
	return a.withOutput(&cobra.Command{
		Use: "version", Short: "Print the version", Args: exactly(),
		RunE: func(*cobra.Command, []string) error {
			v := struct {
				Version  string `json:"version"`
				Go       string `json:"go"`
				Platform string `json:"platform"`
			}{versionText(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			return a.printValue(v, func() error { return a.say("assay %s (%s, %s)", v.Version, v.Go, v.Platform) })
		},
	})
}
