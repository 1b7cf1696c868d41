package trustcmd

import (
	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/client"
	"github.com/assay-registry/assay/cmd/assay/docker"
	"github.com/assay-registry/assay/store"
	"github.com/spf13/cobra"
)

// RevokeCommand is assay revoke.
func RevokeCommand(a *cli.App) *cobra.Command {
	reason, everywhere := "", false
	c := &cobra.Command{
		Use: "revoke REF --reason TEXT", Short: "Withdraw an image, whatever evidence it has", Args: cli.Exactly("REF"),
		Long: `Withdraw an image by its digest, whatever evidence it has, until the revocation is
lifted. When the command returns, no pull serves it. A tag is resolved to the digest
that it names now; by digest, what is not there yet can be refused beforehand.`,
		Example: "  assay revoke acme/app:v1 --reason 'CVE-2026-1234, fixed in v2'",
		RunE: func(c *cobra.Command, args []string) error {
			if reason == "" {
				return cli.Usage("--reason is missing: whoever is refused will read it")
			}
			ref, server, err := a.Image(c.Context(), args[0])
			if err != nil {
				return err
			}
			digest, err := resolveDigest(a, c, server, ref)
			if err != nil {
				return err
			}
			r := client.NewRevocation{Repository: store.Glob(ref.Repository), Digest: digest, Reason: reason}
			if everywhere {
				r.Repository = "**"
			}
			done, err := server.Revoke(c.Context(), r)
			if err != nil {
				return err
			}
			return a.Print(done.Raw, func() error {
				return a.Say("revoked: %s in %s\nassay revocation lift %s ends it", r.Digest, r.Repository, done.Value.ID)
			})
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "one sentence that whoever is refused will read")
	c.Flags().BoolVar(&everywhere, "all-repositories", false, "in every repository, not only that of the reference")
	return a.WithServer(a.WithOutput(c))
}

// resolveDigest asks which digest a tag names for administrators.
func resolveDigest(a *cli.App, c *cobra.Command, server *client.Client, ref docker.Ref) (store.Digest, error) {
	if ref.Reference.Digest != "" {
		return ref.Reference.Digest, nil
	}
	e, err := server.Explain(c.Context(), ref)
	if err != nil {
		return "", err
	}
	return store.ParseDigest(string(e.Value.Digest))
}

// RevocationCommand is assay revocation.
func RevocationCommand(a *cli.App) *cobra.Command {
	c := cli.Group(&cobra.Command{Use: "revocation", Short: "List and lift revocations"})
	c.AddCommand(revocationList(a), revocationLift(a))
	return c
}

func revocationList(a *cli.App) *cobra.Command {
	return a.WithServer(a.WithOutput(&cobra.Command{
		Use: "list", Short: "List the revocations in force", Args: cli.Exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			return cli.Asked(a, c.Context(), (*client.Client).Revocations, func(list *client.Revocations) error {
				var rows [][]string
				for _, r := range list.Revocations {
					rows = append(rows, []string{r.ID, string(r.Repository), string(r.Digest), r.At.UTC().Format("2006-01-02 15:04"), r.By, r.Reason})
				}
				return cli.Table(a.Stdout, []string{"ID", "REPOSITORY", "DIGEST", "AT", "BY", "REASON"}, rows)
			})
		},
	}))
}

func revocationLift(a *cli.App) *cobra.Command {
	return a.WithServer(a.WithOutput(&cobra.Command{
		Use: "lift ID", Short: "End a revocation; the image is decided anew", Args: cli.Exactly("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.Act(c, cli.PathWord("the ID of a revocation", args[0]), func(server *client.Client) error {
				_, err := server.Lift(c.Context(), args[0])
				return err
			}, "lifted: %s", args[0])
		},
	}))
}

// RestoreCommand is assay restore.
func RestoreCommand(a *cli.App) *cobra.Command {
	return a.WithServer(a.WithOutput(&cobra.Command{
		Use: "restore REPOSITORY@DIGEST", Short: "Bring expired content back into quarantine", Args: cli.Exactly("REPOSITORY@DIGEST"),
		RunE: func(c *cobra.Command, args []string) error {
			ref, server, err := a.Image(c.Context(), args[0])
			if err != nil {
				return err
			}
			if ref.Reference.Digest == "" {
				return cli.Usage("%q names no digest: expired content has no tag", args[0])
			}
			if _, err := server.Restore(c.Context(), ref.Repository, ref.Reference.Digest); err != nil {
				return err
			}
			return a.Print(nil, func() error { return a.Say("restored: %s", ref) })
		},
	}))
}
