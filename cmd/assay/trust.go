package main

import (
	"os"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/client"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/spf13/cobra"
)

func (a *app) trust() *cobra.Command {
	c := group(&cobra.Command{Use: "trust", Short: "Say who is trusted to sign what"})
	c.AddCommand(a.trustAdd(), a.trustList(), a.trustRemove(), a.trustRevoke())
	return c
}

func (a *app) trustAdd() *cobra.Command {
	var keys, repositories, promote []string
	var binding string
	c := &cobra.Command{
		Use: "add NAME --key FILE --repositories PATTERN...", Short: "Trust a public key for some repositories", Args: exactly("NAME"),
		Example: "  assay trust add release --key cosign.pub --repositories 'acme/**'",
		RunE: func(c *cobra.Command, args []string) error {
			au, err := a.authority(args[0], keys, repositories, promote, binding)
			if err != nil {
				return err
			}
			server, err := a.connect(c.Context(), "")
			if err != nil {
				return err
			}
			if _, err := server.AddAuthority(c.Context(), au); err != nil {
				return err
			}
			return a.printValue(au, func() error {
				return a.say("trusted: %s for %s (key %s)", au.Name, patterns(au.Repositories), keyIDs(au.Keys))
			})
		},
	}
	f := c.Flags()
	f.StringArrayVar(&keys, "key", nil, "PEM file of a public key; may be given several times")
	f.StringSliceVar(&repositories, "repositories", nil, "patterns of the repositories for which the key speaks: ** any components, * within one")
	f.StringSliceVar(&promote, "promote-from", nil, "patterns of repositories whose signatures are accepted too, for content that is copied on")
	f.StringVar(&binding, "binding", verify.BindingRepository, "repository compares the repository that a signature names; none does not")
	_ = c.MarkFlagFilename("key", "pub", "pem")
	return a.withServer(a.withOutput(c))
}

func (a *app) authority(name string, keys, repositories, promote []string, binding string) (verify.Authority, error) {
	au := verify.Authority{Name: name, Kind: verify.KindKey, Binding: binding}
	if len(keys) == 0 {
		return au, usage("--key is missing: name the PEM file of the public key, such as cosign.pub")
	}
	if len(repositories) == 0 {
		return au, usage("--repositories is missing: name the repositories for which the key speaks, such as 'acme/**'")
	}
	for _, file := range keys {
		text, err := os.ReadFile(a.path(file))
		if err != nil {
			return au, err
		}
		k, err := verify.ParseKeyPEM(text)
		if err != nil {
			return au, usage("%s: %s", file, sentence(err))
		}
		au.Keys = append(au.Keys, k)
	}
	au.Repositories, au.PromoteFrom = globs(repositories), globs(promote)
	if err := au.Validate(); err != nil {
		return au, usage("%s", sentence(err))
	}
	return au, nil
}

func globs(patterns []string) store.Globs {
	gs := make(store.Globs, len(patterns))
	for i, p := range patterns {
		gs[i] = store.Glob(p)
	}
	return gs
}

func patterns(gs store.Globs) string {
	list := make([]string, len(gs))
	for i, g := range gs {
		list[i] = string(g)
	}
	return strings.Join(list, " ")
}

func keyIDs(keys []verify.Key) string {
	var ids []string
	for _, k := range keys {
		id := short(k.ID)
		switch {
		case k.Revoked:
			id += " (revoked)"
		case !k.NotAfter.IsZero():
			id += " (until " + k.NotAfter.UTC().Format("2006-01-02") + ")"
		}
		ids = append(ids, id)
	}
	return strings.Join(ids, ", ")
}

// short cuts a digest to what a person compares.
func short(d string) string {
	if i := strings.IndexByte(d, ':'); i > 0 && len(d) > i+13 {
		return d[:i+13]
	}
	return d
}

func (a *app) trustList() *cobra.Command {
	wide := false
	c := &cobra.Command{
		Use: "list", Short: "List who is trusted", Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			server, err := a.connect(c.Context(), "")
			if err != nil {
				return err
			}
			list, err := server.Authorities(c.Context())
			if err != nil {
				return err
			}
			return a.print(list.Raw, func() error { return a.authorities(list.Value.Authorities, wide) })
		},
	}
	c.Flags().BoolVar(&wide, "wide", false, "one row per key, with its whole ID")
	return a.withServer(a.withOutput(c))
}

func (a *app) authorities(list []verify.Authority, wide bool) error {
	if len(list) == 0 {
		return a.say("nobody is trusted yet; add a key with assay trust add")
	}
	var rows [][]string
	for _, au := range list {
		if !wide {
			rows = append(rows, []string{au.Name, au.Kind, patterns(au.Repositories), keyIDs(au.Keys), au.Origin})
			continue
		}
		for _, k := range au.Keys {
			state := "trusted"
			if k.Revoked {
				state = "revoked"
			}
			rows = append(rows, []string{au.Name, au.Kind, patterns(au.Repositories), k.ID + " " + state, au.Origin})
		}
	}
	return table(a.stdout, []string{"NAME", "KIND", "REPOSITORIES", "KEYS", "FROM"}, rows)
}

// pathWord refuses what would be another path of the API, or none.
func pathWord(what, s string) error {
	ok := s != "" && s != "." && s != ".."
	for i := range len(s) {
		c := s[i]
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("._@:+-", c) >= 0)
	}
	if !ok {
		return usage("%q is not %s", s, what)
	}
	return nil
}

func (a *app) trustRemove() *cobra.Command {
	return a.withServer(a.withOutput(&cobra.Command{
		Use: "remove NAME", Aliases: []string{"rm"}, Short: "Trust someone no longer", Args: exactly("NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.act(c, pathWord("the name of an authority", args[0]), func(server *client.Client) error {
				_, err := server.RemoveAuthority(c.Context(), args[0])
				return err
			}, "no longer trusted: %s", args[0])
		},
	}))
}

func (a *app) trustRevoke() *cobra.Command {
	return a.withServer(a.withOutput(&cobra.Command{
		Use: "revoke NAME KEYID", Short: "Revoke one key of an authority: what it signed counts no more", Args: exactly("NAME", "KEYID"),
		Long: "Revoke one key of an authority: what it signed counts no more.\nassay trust list --wide shows the key IDs.",
		RunE: func(c *cobra.Command, args []string) error {
			bad := pathWord("the name of an authority", args[0])
			if bad == nil {
				bad = pathWord("a key ID", args[1])
			}
			return a.act(c, bad, func(server *client.Client) error {
				_, err := server.RevokeKey(c.Context(), args[0], args[1])
				return err
			}, "revoked: key %s of %s", args[1], args[0])
		},
	}))
}

// act does one thing on the server and says that it is done; as JSON it is {}.
func (a *app) act(c *cobra.Command, bad error, do func(*client.Client) error, format string, args ...any) error {
	if bad != nil {
		return bad
	}
	server, err := a.connect(c.Context(), "")
	if err != nil {
		return err
	}
	if err := do(server); err != nil {
		return err
	}
	return a.print(nil, func() error { return a.say(format, args...) })
}
