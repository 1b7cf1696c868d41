package trustcmd

import (
	"errors"
	"io/fs"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/client"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/verify"
)

// distrust is what the flags of revoke and restore say.
type distrust struct {
	key, serial, identity, reason string
	logIndex                      int64
}

func (d *distrust) flags(c *cobra.Command, reason string) {
	f := c.Flags()
	f.StringVar(&d.key, "key", "", "ID of a key (sha256:...), or the PEM file of the public key")
	f.StringVar(&d.serial, "serial", "", "serial number of a certificate in hexadecimal")
	f.StringVar(&d.identity, "identity", "", "subject of certificates, as explanations show it")
	f.Int64Var(&d.logIndex, "log-index", -1, "index of an entry in a transparency log")
	f.StringVar(&d.reason, "reason", "", reason)
}

// asked is the one thing that is meant: by a flag, or a key ID behind the name.
func (d *distrust) asked(a *cli.App, args []string) (client.Distrust, error) {
	var found []client.Distrust
	if len(args) > 1 {
		found = append(found, client.Distrust{Kind: trust.RevokedKey, Value: args[1]})
	}
	if d.key != "" {
		id, err := keyID(a, d.key)
		if err != nil {
			return client.Distrust{}, err
		}
		found = append(found, client.Distrust{Kind: trust.RevokedKey, Value: id})
	}
	if d.serial != "" {
		serial, ok := config.Serial(d.serial)
		if !ok {
			return client.Distrust{}, cli.Usage("%q is not a serial number in hexadecimal; openssl x509 -serial shows it", d.serial)
		}
		found = append(found, client.Distrust{Kind: trust.RevokedSerial, Value: serial})
	}
	if d.identity != "" {
		found = append(found, client.Distrust{Kind: trust.RevokedIdentity, Value: d.identity})
	}
	if d.logIndex >= 0 {
		found = append(found, client.Distrust{Kind: trust.RevokedLogIndex, Value: strconv.FormatInt(d.logIndex, 10)})
	}
	if len(found) != 1 {
		return client.Distrust{}, cli.Usage("say what is meant with one of --key, --serial, --identity and --log-index; assay trust list --wide shows them")
	}
	if k := found[0]; k.Kind == trust.RevokedKey && !config.ValidKeyID(k.Value) {
		return client.Distrust{}, cli.Usage("%q is not a key ID: sha256: and 64 hexadecimal digits; assay trust list --wide shows them", k.Value)
	}
	found[0].Reason = d.reason
	return found[0], nil
}

// keyID takes the ID of a key as it is, and reads it from a file with the public key.
func keyID(a *cli.App, s string) (string, error) {
	if config.ValidKeyID(s) {
		return s, nil
	}
	text, err := a.ReadFile(s, verify.MaxTrustedRoot)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil // said to be no key ID
	}
	if err != nil {
		return "", err
	}
	k, err := verify.ParseKeyPEM(text)
	if err != nil {
		return "", cli.Usage("%s: %s", s, cli.Sentence(err))
	}
	return k.ID, nil
}

// kindName is how a person names what is revoked.
func kindName(k trust.DistrustKind) string {
	if k == trust.RevokedLogIndex {
		return "log index"
	}
	return string(k)
}

// nameAndMore takes the name of an authority, and perhaps a key ID.
func nameAndMore(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cli.Usage("NAME is missing; usage: %s", c.UseLine())
	}
	return cli.AtMost(2)(c, args)
}

func trustRevoke(a *cli.App) *cobra.Command {
	var d distrust
	c := &cobra.Command{
		Use: "revoke NAME (--key ID | --serial HEX | --identity SUBJECT | --log-index N)", Short: "Revoke a key, certificate, identity or log entry of an authority", Args: nameAndMore,
		Long: `Revoke a key, certificate, identity or log entry of an authority: what it signed counts
no more, from the very next pull on. Images that somebody else signed too stay as they are.
assay trust list --wide shows keys and identities, assay explain --wide serials and indexes.`,
		Example: "  assay trust revoke release --key sha256:... --reason 'laptop stolen'\n  assay trust revoke github --identity https://github.com/acme/old/.github/workflows/release.yml@refs/heads/main",
		RunE: func(c *cobra.Command, args []string) error {
			what, err := d.asked(a, args)
			if err == nil {
				err = cli.PathWord("the name of an authority", args[0])
			}
			return a.Act(c, err, func(server *client.Client) error {
				_, err := server.RevokeTrust(c.Context(), args[0], what)
				return err
			}, "revoked: %s %s of %s", kindName(what.Kind), cli.Printable(what.Value), args[0])
		},
	}
	d.flags(c, "one sentence that whoever is refused will read")
	return a.WithServer(a.WithOutput(c))
}

func trustRestore(a *cli.App) *cobra.Command {
	var d distrust
	c := &cobra.Command{
		Use: "restore NAME (--key ID | --serial HEX | --identity SUBJECT | --log-index N)", Short: "End such a revocation; what it refused is decided anew", Args: nameAndMore,
		RunE: func(c *cobra.Command, args []string) error {
			what, err := d.asked(a, args)
			if err == nil {
				err = cli.PathWord("the name of an authority", args[0])
			}
			return a.Act(c, err, func(server *client.Client) error {
				_, err := server.RestoreTrust(c.Context(), args[0], what)
				return err
			}, "restored: %s %s of %s", kindName(what.Kind), cli.Printable(what.Value), args[0])
		},
	}
	d.flags(c, "one sentence for the audit log")
	return a.WithServer(a.WithOutput(c))
}

func trustRevocations(a *cli.App) *cobra.Command {
	return a.WithServer(a.WithOutput(&cobra.Command{
		Use: "revocations", Short: "List what was revoked of authorities at run time", Args: cli.Exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			return cli.Asked(a, c.Context(), (*client.Client).TrustRevocations, func(list *client.TrustRevocations) error {
				var rows [][]string
				for _, r := range list.Revocations {
					rows = append(rows, []string{r.Authority, kindName(r.Kind), r.Value, r.At.UTC().Format("2006-01-02 15:04"), r.By, r.Reason})
				}
				return cli.Table(a.Stdout, []string{"AUTHORITY", "KIND", "VALUE", "AT", "BY", "REASON"}, rows)
			})
		},
	}))
}
