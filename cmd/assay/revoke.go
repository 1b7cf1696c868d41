package main

import (
	"github.com/assay-registry/assay/cmd/assay/client"
	"github.com/assay-registry/assay/cmd/assay/docker"
	"github.com/assay-registry/assay/store"
	"github.com/spf13/cobra"
)

func (a *app) revoke() *cobra.Command {
	reason, everywhere := "", false
	c := &cobra.Command{
		Use: "revoke REF --reason TEXT", Short: "Withdraw an image, whatever evidence it has", Args: exactly("REF"),
		Long: `Withdraw an image by its digest, whatever evidence it has, until the revocation is
lifted. When the command returns, no pull serves it. A tag is resolved to the digest
that it names now; by digest, what is not there yet can be refused beforehand.`,
		Example: "  assay revoke acme/app:v1 --reason 'CVE-2026-1234, fixed in v2'",
		RunE: func(c *cobra.Command, args []string) error {
			if reason == "" {
				return usage("--reason is missing: whoever is refused will read it")
			}
			ref, server, err := a.image(c.Context(), args[0])
			if err != nil {
				return err
			}
			digest, err := a.resolve(c, server, ref)
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
			return a.print(done.Raw, func() error {
				return a.say("revoked: %s in %s\nassay revocation lift %s ends it", r.Digest, r.Repository, done.Value.ID)
			})
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "one sentence that whoever is refused will read")
	c.Flags().BoolVar(&everywhere, "all-repositories", false, "in every repository, not only that of the reference")
	return a.withServer(a.withOutput(c))
}

// resolve asks which digest a tag names for administrators.
func (a *app) resolve(c *cobra.Command, server *client.Client, ref docker.Ref) (store.Digest, error) {
	if ref.Reference.Digest != "" {
		return ref.Reference.Digest, nil
	}
	e, err := server.Explain(c.Context(), ref)
	if err != nil {
		return "", err
	}
	return store.ParseDigest(string(e.Value.Digest))
}

func (a *app) revocation() *cobra.Command {
	c := group(&cobra.Command{Use: "revocation", Short: "List and lift revocations"})
	c.AddCommand(a.revocationList(), a.revocationLift())
	return c
}

func (a *app) revocationList() *cobra.Command {
	return a.withServer(a.withOutput(&cobra.Command{
		Use: "list", Short: "List the revocations in force", Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			return asked(a, c.Context(), (*client.Client).Revocations, func(list *client.Revocations) error {
				var rows [][]string
				for _, r := range list.Revocations {
					rows = append(rows, []string{r.ID, string(r.Repository), string(r.Digest), r.At.UTC().Format("2006-01-02 15:04"), r.By, r.Reason})
				}
				return table(a.stdout, []string{"ID", "REPOSITORY", "DIGEST", "AT", "BY", "REASON"}, rows)
			})
		},
	}))
}

func (a *app) revocationLift() *cobra.Command {
	return a.withServer(a.withOutput(&cobra.Command{
		Use: "lift ID", Short: "End a revocation; the image is decided anew", Args: exactly("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.act(c, pathWord("the ID of a revocation", args[0]), func(server *client.Client) error {
				_, err := server.Lift(c.Context(), args[0])
				return err
			}, "lifted: %s", args[0])
		},
	}))
}

func (a *app) restore() *cobra.Command {
	return a.withServer(a.withOutput(&cobra.Command{
		Use: "restore REPOSITORY@DIGEST", Short: "Bring expired content back into quarantine", Args: exactly("REPOSITORY@DIGEST"),
		RunE: func(c *cobra.Command, args []string) error {
			ref, server, err := a.image(c.Context(), args[0])
			if err != nil {
				return err
			}
			if ref.Reference.Digest == "" {
				return usage("%q names no digest: expired content has no tag", args[0])
			}
			if _, err := server.Restore(c.Context(), ref.Repository, ref.Reference.Digest); err != nil {
				return err
			}
			return a.print(nil, func() error { return a.say("restored: %s", ref) })
		},
	}))
}
