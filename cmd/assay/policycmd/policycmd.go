package policycmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/cmd/assay/rehearse"
	"github.com/assay-registry/assay/cmd/assay/rules"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/store"
	"github.com/spf13/cobra"
)

// Command is assay policy.
func Command(a *cli.App) *cobra.Command {
	c := cli.Group(&cobra.Command{Use: "policy", Short: "Check, test and try policies, see what they would change, put them into force"})
	c.AddCommand(policyCheck(a), policyTest(a), policyEval(a), policyCodes(a), policyStatus(a), policyReplay(a), policyStage(a), policyUnstage(a), policyActivate(a), policyRollback(a), policyHistory(a), policyPush(a))
	return c
}

// chosen are the policies that a command works on: those named as arguments, else those of the configuration.
func chosen(a *cli.App, p place.Flags, args []string, params string) ([]engine.Policy, error) {
	if len(args) == 0 {
		cfg, err := place.Load(a, p)
		if err != nil {
			return nil, err
		}
		bs, from, err := rules.Alone(cfg)
		if err != nil {
			return nil, err
		}
		return rules.Resolve(bs, from)
	}
	given := map[string]any{}
	if params != "" {
		if err := json.Unmarshal([]byte(params), &given); err != nil {
			return nil, cli.Usage("--params is not a JSON object: %w", err)
		}
	}
	var list []engine.Policy
	for _, arg := range args {
		where, name := arg, strings.TrimPrefix(arg, config.Builtin)
		if name == arg {
			where = a.Path(arg)
			name = strings.TrimSuffix(filepath.Base(where), ".rego")
		}
		source, err := rules.Modules(where)
		if err != nil {
			return nil, err
		}
		list = append(list, engine.Policy{Name: name, Repositories: store.Globs{"**"}, Source: source, Params: given})
	}
	return list, nil
}

func policyCheck(a *cli.App) *cobra.Command {
	var p place.Flags
	params := ""
	c := &cobra.Command{
		Use: "check [FILE|DIRECTORY|builtin:NAME]...", Short: "Compile policies as the server would", Args: cobra.ArbitraryArgs,
		Long: "Compile policies as the server would: those named, else those of the configuration.\nWhat they may read, and what they read, is part of the check.",
		RunE: func(c *cobra.Command, args []string) error {
			list, err := chosen(a, p, args, params)
			if err != nil {
				return err
			}
			found, problems, err := engine.Check(c.Context(), list, engine.Options{Rehearse: rehearse.New(a.Self).Rehearse})
			if err != nil {
				return err
			}
			if problems == nil {
				problems = []engine.Problem{}
			}
			report := struct {
				OK       bool                 `json:"ok"`
				Problems []engine.Problem     `json:"problems"`
				Policies []engine.Description `json:"policies"`
			}{len(problems) == 0, problems, found}
			if err := a.PrintValue(report, func() error { return printDescribed(a, found, problems) }); err != nil {
				return err
			}
			if !report.OK {
				return &cli.Failure{Code: cli.ExitError}
			}
			return nil
		},
	}
	c.Flags().StringVar(&params, "params", "", "parameters of the named policies, as a JSON object")
	return place.WithFlags(a, a.WithOutput(c), &p)
}

func printDescribed(a *cli.App, found []engine.Description, problems []engine.Problem) error {
	for _, p := range problems {
		if _, err := fmt.Fprintln(a.Stderr, cli.Printable(p.String())); err != nil {
			return err
		}
	}
	if len(problems) > 0 {
		return nil
	}
	var rows [][]string
	for _, d := range found {
		var entries []string
		for _, e := range []string{"push", "admit", "tag", "k8s"} {
			for name := range d.Entries {
				if string(name) == e {
					entries = append(entries, e)
				}
			}
		}
		rows = append(rows, []string{d.Name, string(d.Mode), cli.Patterns(d.Repositories), strings.Join(entries, ","), cli.Short(d.Revision), d.Title})
	}
	return cli.Table(a.Stdout, []string{"NAME", "MODE", "REPOSITORIES", "ENTRIES", "REVISION", "TITLE"}, rows)
}

func policyTest(a *cli.App) *cobra.Command {
	return a.WithOutput(&cobra.Command{
		Use: "test DIRECTORY...", Short: "Run the tests of policies", Args: cli.AtLeast("DIRECTORY"),
		Long: "Run the tests of policies: the rules test_* of the files *_test.rego, and the recorded\ndecisions *.txtar, with the built-ins of the server.",
		RunE: func(c *cobra.Command, args []string) error {
			results := []engine.TestResult{}
			for _, arg := range args {
				files, err := rules.Sources(a.Path(arg), ".rego", ".txtar")
				if err != nil {
					return err
				}
				some, err := runTests(a, c.Context(), files)
				if err != nil {
					return err
				}
				results = append(results, some...)
			}
			failed := 0
			for _, r := range results {
				if !r.Pass && !r.Skipped {
					failed++
				}
			}
			if err := a.PrintValue(results, func() error { return tested(a, results, failed) }); err != nil {
				return err
			}
			switch {
			case len(results) == 0:
				return errors.New("there is no test: they are rules test_* in files *_test.rego")
			case failed > 0:
				return &cli.Failure{Code: cli.ExitError}
			}
			return nil
		},
	})
}

// runTests runs the tests of a policy, once it is known that compiling it comes to an end.
func runTests(a *cli.App, ctx context.Context, files map[string]string) ([]engine.TestResult, error) {
	problems, err := rehearse.New(a.Self).Rehearse(ctx, []engine.Policy{{Name: "test", Source: files}})
	if err != nil {
		return nil, err
	}
	if len(problems) > 0 {
		return nil, &engine.CompileError{Problems: problems}
	}
	return engine.Test(ctx, files)
}

func tested(a *cli.App, results []engine.TestResult, failed int) error {
	for _, r := range results {
		if r.Pass && r.Message == "" {
			continue
		}
		word := "FAIL"
		switch {
		case r.Pass:
			word = "ok"
		case r.Skipped:
			word = "skipped"
		}
		if err := a.Say("%s  %s:%d  %s\n%s", word, cli.Printable(r.File), r.Line, cli.Printable(r.Name), r.Message); err != nil {
			return err
		}
	}
	return a.Say("%d tests, %d failed", len(results), failed)
}

// maxInput bounds what policy eval reads.
const maxInput = 16 << 20

func policyEval(a *cli.App) *cobra.Command {
	var p place.Flags
	input, params := "", ""
	c := &cobra.Command{
		Use: "eval [FILE|DIRECTORY|builtin:NAME]... --input FILE", Short: "Decide on an input document (policy.input/v1)", Args: cobra.ArbitraryArgs,
		Long: `Decide on an input document (policy.input/v1) with the policies named, else with those
of the configuration. assay decision ID -o json shows the input of a past decision.
The exit code is 3 where the decision is a refusal.`,
		Example: "  assay decision D-123 | jq .input > input.json\n  assay policy eval builtin:signed --input input.json",
		RunE: func(c *cobra.Command, args []string) error {
			document, err := document(a, input)
			if err != nil {
				return err
			}
			list, err := chosen(a, p, args, params)
			if err != nil {
				return err
			}
			return evaluate(a, c.Context(), list, document)
		},
	}
	c.Flags().StringVar(&input, "input", "", "the document; - is standard input")
	c.Flags().StringVar(&params, "params", "", "parameters of the named policies, as a JSON object")
	return place.WithFlags(a, a.WithOutput(c), &p)
}

func document(a *cli.App, file string) ([]byte, error) {
	switch file {
	case "":
		return nil, cli.Usage("--input is missing: name the document, or - for standard input")
	case "-":
		return io.ReadAll(io.LimitReader(a.Stdin, maxInput))
	default:
		text, err := rules.ReadBounded(a.Path(file))
		return []byte(text), err
	}
}

func evaluate(a *cli.App, ctx context.Context, list []engine.Policy, document []byte) error {
	set, err := engine.Compile(ctx, list, engine.Options{Rehearse: rehearse.New(a.Self).Rehearse})
	if err != nil {
		return err
	}
	d, err := engine.Eval(ctx, set, document)
	if err != nil {
		return err
	}
	if err := a.PrintValue(d, func() error {
		var b strings.Builder
		field := func(name, format string, args ...any) {
			if value := cli.Printable(fmt.Sprintf(format, args...)); value != "" {
				fmt.Fprintf(&b, "%-10s %s\n", name, value)
			}
		}
		field("allow", "%t", d.Allow)
		cli.Reasons(field, "deny", d.Deny)
		cli.Reasons(field, "warn", d.Warn)
		cli.Reasons(field, "shadow", d.Shadow)
		cli.WaivedLines(field, d.Waived)
		for _, o := range d.Obligations {
			field("asks for", "%s", o.Type)
		}
		field("until", "%s", cli.Moment(d.ValidUntil))
		return a.Say("%s", strings.TrimRight(b.String(), "\n"))
	}); err != nil {
		return err
	}
	if !d.Allow {
		return &cli.Failure{Code: cli.ExitRefused}
	}
	return nil
}
