package tufcmd

import (
	"context"
	"os"
	"slices"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify/tufrepo"
	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"
)

// withKeys gives a command the flag by which keys sign at once.
func withKeys(c *cobra.Command, keys *[]string) *cobra.Command {
	c.Flags().StringArrayVar(keys, "key", nil, "file of a private key that signs at once, beside those that the directory remembers; may be given several times")
	_ = c.MarkFlagFilename("key", "key", "pem")
	return c
}

// editTUF changes something, signs it with the keys at hand, and says what is missing.
func editTUF(a *cli.App, dir string, keys []string, edit func(*tufSession) error, format string, args ...any) error {
	return withTUF(a, dir, true, keys, func(s *tufSession) error {
		if err := edit(s); err != nil {
			return err
		}
		if err := s.signStaged(); err != nil {
			return err
		}
		return s.report(format, args...)
	})
}

// tufTarget is what add was told about a target.
type tufTarget struct {
	role, digest, image, file string
	length                    int64
	keys                      []string
}

func tufAdd(a *cli.App) *cobra.Command {
	o := tufTarget{}
	c := &cobra.Command{
		Use: "add DIR [TARGET]", Short: "Add a target: the image of a tag, or a file", Args: cli.Optionally("DIR"),
		Long: `Add a target, or change it. The target of a tag is REPOSITORY/TAG: with --image the registry is
asked for the digest and the length of its manifest, else --digest and --length say them.
With --file the target is the file's content: a key (trust/AUTHORITY/keys/NAME.pem), a trusted
root (trust/AUTHORITY/trusted_root.json), a policy (policies/NAME.rego) or anything else.`,
		Example: "  assay tuf add tuf --image registry.example.com/acme/app:v1\n  assay tuf add tuf acme/app/v1 --digest sha256:... --length 1234 --role team\n" +
			"  assay tuf add tuf trust/release/keys/cosign.pem --file cosign.pub",
		RunE: func(c *cobra.Command, args []string) error {
			name, target, err := readTarget(a, c.Context(), args[1:], o)
			if err != nil {
				return err
			}
			return withTUF(a, args[0], true, o.keys, func(s *tufSession) error {
				changed, err := s.repo.Add(o.role, name, target)
				if err != nil {
					return err
				}
				if !changed {
					return s.report("%s is there already, as it is", name)
				}
				if err := s.signStaged(); err != nil {
					return err
				}
				return s.report("added %s", name)
			})
		},
	}
	f := c.Flags()
	f.StringVar(&o.role, "role", tufrepo.Targets, "the role that holds the target")
	f.StringVar(&o.digest, "digest", "", "sha256 digest of the manifest")
	f.Int64Var(&o.length, "length", 0, "bytes of the manifest")
	f.StringVar(&o.image, "image", "", "reference of the image, whose registry is asked")
	f.StringVar(&o.file, "file", "", "file with the target's content")
	_ = c.MarkFlagFilename("file")
	return a.WithServer(a.WithOutput(withKeys(c, &o.keys)))
}

// readTarget reads the flags of add, and the image or the file that they name.
func readTarget(a *cli.App, ctx context.Context, args []string, o tufTarget) (name string, t tufrepo.Target, err error) {
	given := 0
	for _, flag := range []string{o.digest, o.image, o.file} {
		if flag != "" {
			given++
		}
	}
	switch {
	case given != 1:
		return "", t, cli.Usage("say what the target is by one of --image REFERENCE, --file FILE, and --digest with --length")
	case len(args) == 0 && o.image == "":
		return "", t, cli.Usage("TARGET is missing: a path such as acme/app/v1 or trust/release/keys/cosign.pem")
	case (o.digest == "") != (o.length == 0):
		return "", t, cli.Usage("--digest and --length go together: the digest of the manifest, and how many bytes it has")
	}
	if len(args) > 0 {
		name = args[0]
	}
	switch {
	case o.file != "":
		if t.Content, err = a.ReadFile(o.file, tufrepo.MaxContent); t.Content == nil {
			t.Content = []byte{}
		}
		return name, t, err
	case o.image == "":
		return name, tufrepo.Target{Digest: store.Digest(o.digest), Length: o.length}, nil
	}
	ref, server, err := a.Image(ctx, o.image)
	if err != nil {
		return "", t, err
	}
	if name == "" && ref.Reference.Tag == "" {
		return "", t, cli.Usage("%s names no tag; name the target, such as %s/v1", o.image, ref.Repository)
	}
	if name == "" {
		name = string(ref.Repository) + "/" + ref.Reference.Tag
	}
	m, err := server.Get(ctx, ref.Repository, ref.Reference)
	if err != nil {
		return "", t, err
	}
	return name, tufrepo.Target{Digest: store.DigestOf(digest.SHA256, m.Bytes), Length: m.Size}, nil
}

func tufRemove(a *cli.App) *cobra.Command {
	role := ""
	var keys []string
	c := &cobra.Command{
		Use: "remove DIR TARGET", Aliases: []string{"rm"}, Short: "Remove a target", Args: cli.Exactly("DIR", "TARGET"),
		RunE: func(_ *cobra.Command, args []string) error {
			return editTUF(a, args[0], keys, func(s *tufSession) error { return s.repo.Drop(role, args[1]) }, "removed %s", args[1])
		},
	}
	c.Flags().StringVar(&role, "role", tufrepo.Targets, "the role that holds the target")
	return a.WithOutput(withKeys(c, &keys))
}

func tufDelegate(a *cli.App) *cobra.Command {
	g := tufrepo.Delegation{}
	var files, sign []string
	c := &cobra.Command{
		Use: "delegate DIR ROLE --role-key FILE... --paths PATTERN...", Short: "Let others speak for some targets", Args: cli.Exactly("DIR", "ROLE"),
		Long: `Let the keys of a role speak for the targets under its paths. In a pattern '*', '?' and '[...]'
match within one part between slashes: 'acme/app/*' is every tag of acme/app, 'acme/*/*' every tag of
every repository right below acme. There is no '**'. Earlier delegations have the first word;
after one that is --terminating no later one is asked for its paths.`,
		Example: "  assay tuf delegate tuf team --role-key team.pub --paths 'acme/app/*'",
		RunE: func(_ *cobra.Command, args []string) error {
			g.Role = args[1]
			return editTUF(a, args[0], sign, func(s *tufSession) error {
				var err error
				if g.Keys, err = s.keys(files); err != nil {
					return err
				}
				if err := s.repo.Delegate(g); err != nil {
					return err
				}
				return s.remember(g.Role, files)
			}, "delegated %v to %s", g.Paths, g.Role)
		},
	}
	f := c.Flags()
	f.StringArrayVar(&files, "role-key", nil, "PEM file of a key of the role, public or private; may be given several times")
	f.StringArrayVar(&g.Paths, "paths", nil, "pattern of the targets that the role speaks for; may be given several times")
	f.IntVar(&g.Threshold, "threshold", 1, "how many of its keys must sign")
	f.BoolVar(&g.Terminating, "terminating", false, "what the role does not have under its paths, no later role has")
	f.StringVar(&g.Parent, "parent", tufrepo.Targets, "the role that delegates")
	_ = c.MarkFlagFilename("role-key", "key", "pub", "pem")
	return a.WithOutput(withKeys(c, &sign))
}

func tufUndelegate(a *cli.App) *cobra.Command {
	var keys []string
	return a.WithOutput(withKeys(&cobra.Command{
		Use: "undelegate DIR ROLE", Short: "End a delegation", Args: cli.Exactly("DIR", "ROLE"),
		RunE: func(_ *cobra.Command, args []string) error {
			return editTUF(a, args[0], keys, func(s *tufSession) error { return s.repo.Undelegate(args[1]) }, "%s speaks for nothing any more", args[1])
		},
	}, &keys))
}

// changeKeys is what add-key, remove-key and rotate have in common. A key to remove is named by its ID, by 8 digits of it or more, or by its file.
func changeKeys(a *cli.App, dir, role string, add, remove, sign []string, threshold int) error {
	return editTUF(a, dir, sign, func(s *tufSession) error {
		list, err := s.keys(add)
		if err != nil {
			return err
		}
		ids := slices.Clone(remove)
		for i, what := range remove {
			if _, err := os.Stat(a.Path(what)); err != nil {
				continue
			}
			k, err := s.key(what)
			if err != nil {
				return err
			}
			ids[i] = k.ID
		}
		if err := s.repo.ChangeKeys(role, list, ids, threshold); err != nil {
			return err
		}
		if err := s.remember(role, add); err != nil {
			return err
		}
		for _, k := range list { // a new key of root shows at once that its owner has it
			if role == tufrepo.Root && k.Sign != nil {
				if err := s.repo.Sign(role, k); err != nil {
					return err
				}
			}
		}
		return nil
	}, "%s has other keys", role)
}

func tufAddKey(a *cli.App) *cobra.Command {
	var keys []string
	threshold := 0
	c := &cobra.Command{
		Use: "add-key DIR ROLE FILE...", Short: "Give a role one more key", Args: cli.AtLeast("DIR", "ROLE", "FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			return changeKeys(a, args[0], args[1], args[2:], nil, keys, threshold)
		},
	}
	c.Flags().IntVar(&threshold, "threshold", 0, "how many keys must sign from then on (default: as before)")
	return a.WithOutput(withKeys(c, &keys))
}

func tufRemoveKey(a *cli.App) *cobra.Command {
	var keys []string
	threshold := 0
	c := &cobra.Command{
		Use: "remove-key DIR ROLE KEY...", Short: "Take a key from a role: its ID, or its file", Args: cli.AtLeast("DIR", "ROLE", "KEY"),
		RunE: func(_ *cobra.Command, args []string) error {
			return changeKeys(a, args[0], args[1], nil, args[2:], keys, threshold)
		},
	}
	c.Flags().IntVar(&threshold, "threshold", 0, "how many keys must sign from then on (default: as before)")
	return a.WithOutput(withKeys(c, &keys))
}

func tufRotate(a *cli.App) *cobra.Command {
	var keys, add, remove []string
	threshold := 0
	c := &cobra.Command{
		Use: "rotate DIR ROLE --remove KEY --add FILE", Short: "Replace keys of a role in one step", Args: cli.Exactly("DIR", "ROLE"),
		Long: `Replace keys of a role in one step. For root the next version needs signatures of the old keys,
as many as the old threshold, and of the new ones, as many as the new: assay tuf sign DIR root.`,
		Example: "  assay tuf rotate tuf root --remove root-b.pub --add root-c.pub --key root-a.key",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(add)+len(remove) == 0 && threshold == 0 {
				return cli.Usage("say what changes: --remove KEY, --add FILE, --threshold N")
			}
			return changeKeys(a, args[0], args[1], add, remove, keys, threshold)
		},
	}
	f := c.Flags()
	f.StringArrayVar(&add, "add", nil, "PEM file of a key that is new; may be given several times")
	f.StringArrayVar(&remove, "remove", nil, "ID or file of a key that goes; may be given several times")
	f.IntVar(&threshold, "threshold", 0, "how many keys must sign from then on (default: as before)")
	return a.WithOutput(withKeys(c, &keys))
}
