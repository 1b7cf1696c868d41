package imagecmd

import (
	"context"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/client"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
	"github.com/spf13/cobra"
)

// oneImage wants one REF, or none beside --tree --decision.
func oneImage(tree *bool, decision *string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case *decision == "":
			return cli.Exactly("REF")(c, args)
		case !*tree:
			return cli.Usage("--decision goes with --tree; assay decision shows what was decided")
		}
		return cli.Exactly()(c, args)
	}
}

// traced explains how a decision came about: of an image its last one.
func traced(a *cli.App, ctx context.Context, args []string, decision string) error {
	if decision != "" {
		server, err := a.Connect(ctx, "")
		if err != nil {
			return err
		}
		return printTrace(a, ctx, server.Trace, decision)
	}
	ref, server, err := a.Image(ctx, args[0])
	if err != nil {
		return err
	}
	e, err := server.Explain(ctx, ref)
	if err != nil {
		return err
	}
	if e.Value.Decision == nil || e.Value.Decision.ID == "" {
		return store.Errorf(store.CodeNotFound, "no policy decided about %s: %s", args[0], e.Value.Reason)
	}
	return printTrace(a, ctx, server.Trace, e.Value.Decision.ID)
}

func printTrace(a *cli.App, ctx context.Context, ask func(context.Context, string) (*client.Answer[contract.Trace], error), id string) error {
	t, err := ask(ctx, id)
	if err != nil {
		return err
	}
	return a.Print(t.Raw, func() error {
		for _, line := range t.Value.Lines() {
			if err := a.Say("%s", cli.Printable(line)); err != nil {
				return err
			}
		}
		return nil
	})
}
