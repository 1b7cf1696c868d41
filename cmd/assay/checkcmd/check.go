package checkcmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/client"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/policy/contents"
	"github.com/assay-registry/assay/policy/inventory"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/bolt"
	"github.com/assay-registry/assay/store/fs"
	"github.com/spf13/cobra"
)

// MaxFound is how many problems a check reports.
const MaxFound = 1000

// CheckCommand is assay check.
func CheckCommand(a *cli.App) *cobra.Command {
	data, quick, repair := "", false, false
	c := &cobra.Command{
		Use: "check [--data DIR]", Short: "Verify every invariant of what is stored", Args: cli.Exactly(),
		Long: `Verify every invariant of what is stored. With --data the directory of a registry that
is not running is read and nothing in it changes; otherwise the server is asked to check
itself while it runs. The exit code is 1 where something is wrong. With --repair the index
of packages is emptied first; the server reads every SBOM again when it starts.`,
		RunE: func(c *cobra.Command, _ []string) error {
			if data != "" && a.Remote.Server != "" {
				return cli.Usage("--data reads a directory and --server asks a server; leave one of them out")
			}
			if repair && data == "" {
				return cli.Usage("--repair changes a directory that no server has open; name it with --data")
			}
			if repair {
				images, err := repairIndex(a, c.Context(), a.Path(data))
				if err != nil {
					return err
				}
				fmt.Fprintf(a.Stderr, "the index of packages is empty; the next start reads the SBOMs of %d images again\n", images)
			}
			problems, err := checkedDirectory(a, c.Context(), data, !quick)
			if err != nil {
				return err
			}
			if err := a.PrintValue(client.Problems{Problems: problems}, func() error {
				for _, p := range problems {
					if err := a.Say("%s", cli.Printable(p)); err != nil {
						return err
					}
				}
				if len(problems) == 0 {
					return a.Say("nothing is wrong")
				}
				return a.Say("%d problems", len(problems))
			}); err != nil {
				return err
			}
			if len(problems) > 0 {
				return &cli.Failure{Code: cli.ExitError}
			}
			return nil
		},
	}
	c.Flags().StringVar(&data, "data", "", "directory of a registry that is not running")
	c.Flags().BoolVar(&repair, "repair", false, "rebuild the index of packages (with --data): it is emptied, and the next start reads every SBOM again")
	c.Flags().BoolVar(&quick, "quick", false, "do not read and hash the content itself (with --data)")
	_ = c.MarkFlagDirname("data")
	return a.WithServer(a.WithOutput(c))
}

func checkedDirectory(a *cli.App, ctx context.Context, data string, deep bool) ([]string, error) {
	if data == "" {
		server, err := a.Connect(ctx, "")
		if err != nil {
			return nil, err
		}
		answer, err := server.Check(ctx)
		if err != nil {
			return nil, err
		}
		return append([]string{}, answer.Value.Problems...), nil
	}
	problems, err := checkDirectory(a, ctx, a.Path(data), deep)
	return Sentences(problems), err
}

// Sentences are problems as people read them.
func Sentences(problems []store.Problem) []string {
	list := make([]string, len(problems))
	for i, p := range problems {
		list[i] = p.String()
	}
	return list
}

// repairIndex empties the index of packages, and has the next start read every SBOM again.
func repairIndex(a *cli.App, ctx context.Context, path string) (images int, err error) {
	d, err := place.OpenDirectory(path, false)
	if err != nil {
		return 0, fmt.Errorf("%w (stop the server first: what is repaired must not change meanwhile)", err)
	}
	defer func() { err = errors.Join(err, d.Release()) }()
	blobs, err := fs.Open(d.Blobs(), fs.Options{Rand: a.Rand, Now: a.Clock})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, blobs.Close()) }()
	kv, err := bolt.Open(d.Meta(), bolt.Options{})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, kv.Close()) }()
	log := slog.New(slog.DiscardHandler)
	local, err := store.NewLocal(ctx, store.LocalOptions{Blobs: blobs, KV: kv, Clock: a.Clock, Rand: a.Rand, Log: log})
	if err != nil {
		return 0, err
	}
	if err := index.New(local, log).Reset(ctx); err != nil {
		return 0, err
	}
	return inventory.Reindex(ctx, local)
}

// checkDirectory opens the drivers for reading alone.
func checkDirectory(a *cli.App, ctx context.Context, path string, deep bool) (problems []store.Problem, err error) {
	d, err := place.OpenDirectory(path, false)
	if err != nil {
		return nil, fmt.Errorf("%w (a running server checks itself: assay check --server URL)", err)
	}
	defer func() { err = errors.Join(err, d.Release()) }()
	blobs, err := fs.Open(d.Blobs(), fs.Options{ReadOnly: true, Rand: a.Rand, Now: a.Clock})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, blobs.Close()) }()
	kv, err := bolt.Open(d.Meta(), bolt.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, kv.Close()) }()
	local, err := store.NewLocal(ctx, store.LocalOptions{Blobs: blobs, KV: kv, Clock: a.Clock, Rand: a.Rand, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	if problems, err = local.Check(ctx, deep, MaxFound); err != nil || len(problems) >= MaxFound {
		return problems, err
	}
	more, err := contents.Check(ctx, local, deep, MaxFound-len(problems))
	return append(problems, more...), err
}
