package trustcmd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/client"
	"github.com/assay-registry/assay/verify"
	"github.com/spf13/cobra"
)

// Command is assay trust.
func Command(a *cli.App) *cobra.Command {
	c := cli.Group(&cobra.Command{Use: "trust", Short: "Say who is trusted to sign what"})
	c.AddCommand(trustAdd(a), trustList(a), trustRemove(a), trustRevoke(a), trustRestore(a), trustRevocations(a), trustUpdate(a), trustStatus(a), trustImport(a))
	return c
}

func trustList(a *cli.App) *cobra.Command {
	wide := false
	c := &cobra.Command{
		Use: "list", Short: "List who is trusted", Args: cli.Exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			return cli.Asked(a, c.Context(), (*client.Client).Authorities, func(list *client.Authorities) error { return authorities(a, list.Authorities, wide) })
		},
	}
	c.Flags().BoolVar(&wide, "wide", false, "one row per key and identity, whole")
	return a.WithServer(a.WithOutput(c))
}

func authorities(a *cli.App, list []verify.Authority, wide bool) error {
	if len(list) == 0 {
		return a.Say("nobody is trusted yet; add a key with assay trust add")
	}
	header := []string{"NAME", "KIND", "REPOSITORIES", "TRUSTED", "FROM"}
	var rows [][]string
	for _, au := range list {
		trusted := described(au, wide)
		if !wide {
			trusted = []string{strings.Join(trusted, ", ")}
		}
		for _, t := range trusted {
			rows = append(rows, []string{au.Name, au.Kind, cli.Patterns(au.Repositories), t, au.Origin})
		}
	}
	return cli.Table(a.Stdout, header, rows)
}

// described says what an authority is known by, and what of it is revoked: briefly, or a line each.
func described(au verify.Authority, wide bool) []string {
	var list []string
	for _, k := range au.Keys {
		list = append(list, describedKey(k, slices.Contains(au.Revoked.Keys, k.ID), wide))
	}
	switch {
	case wide:
		for _, i := range au.Identities {
			list = append(list, "identity "+i.String())
		}
	case len(au.Identities) == 1:
		list = append(list, au.Identities[0].String())
	case len(au.Identities) > 1:
		list = append(list, fmt.Sprintf("%s and %d more", au.Identities[0], len(au.Identities)-1))
	}
	if au.TUF != nil {
		list = append(list, au.TUF.Source)
	}
	if au.Material != "" {
		list = append(list, "what "+au.Material+" supplies")
	}
	if len(au.Attests) > 0 {
		list = append(list, "attests "+strings.Join(au.Attests, " "))
	} else if wide && au.Kind != verify.KindTUF {
		list = append(list, "attests "+strings.Join(au.MayAttest(), " ")+" (the default)")
	}
	if p := au.Wants(); wide && p != (verify.Profile{}) {
		list = append(list, fmt.Sprintf("wants %d log entries, %d timestamps, %d certificate timestamps", p.Tlog, p.Timestamps, p.SCT))
	}
	return append(list, describedRevoked(au, wide)...)
}

func describedKey(k verify.Key, revoked, wide bool) string {
	id := cli.Short(k.ID)
	if wide {
		id = "key " + k.ID
	}
	switch {
	case k.Revoked || revoked:
		id += " (revoked)"
	case !k.NotAfter.IsZero():
		id += " (until " + k.NotAfter.UTC().Format("2006-01-02") + ")"
	}
	return id
}

func describedRevoked(au verify.Authority, wide bool) []string {
	r, list := au.Revoked, []string{}
	if !wide {
		if n := len(r.Serials) + len(r.Identities) + len(r.LogIndexes); n > 0 {
			list = append(list, fmt.Sprintf("%d revoked", n))
		}
		return list
	}
	for _, k := range r.Keys {
		if !slices.ContainsFunc(au.Keys, func(known verify.Key) bool { return known.ID == k }) {
			list = append(list, "revoked key "+k)
		}
	}
	for _, s := range r.Serials {
		list = append(list, "revoked serial "+s)
	}
	for _, i := range r.Identities {
		list = append(list, "revoked identity "+i)
	}
	for _, n := range r.LogIndexes {
		list = append(list, fmt.Sprintf("revoked log index %d", n))
	}
	return list
}

func trustRemove(a *cli.App) *cobra.Command {
	return a.WithServer(a.WithOutput(&cobra.Command{
		Use: "remove NAME", Aliases: []string{"rm"}, Short: "Trust someone no longer", Args: cli.Exactly("NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.Act(c, cli.PathWord("the name of an authority", args[0]), func(server *client.Client) error {
				_, err := server.RemoveAuthority(c.Context(), args[0])
				return err
			}, "no longer trusted: %s", args[0])
		},
	}))
}
