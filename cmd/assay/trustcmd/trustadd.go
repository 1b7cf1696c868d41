package trustcmd

import (
	"fmt"
	"strings"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/settings"
	"github.com/assay-registry/assay/verify"
	"github.com/spf13/cobra"
)

// NewAuthority is what the flags of trust add say.
type NewAuthority struct {
	Kind                                           string
	Keys, Repositories, promote                    []string
	Attests                                        []string
	Binding, notBefore, notAfter                   string
	trustedRoot, roots, certificates, stamps, crls string
	issuer, issuerRegexp                           string
	subjects, subjectRegexps                       []string
	Tlog, Timestamps, SCT                          int
}

func trustAdd(a *cli.App) *cobra.Command {
	var n NewAuthority
	c := &cobra.Command{
		Use: "add NAME --repositories PATTERN...", Short: "Trust a key, or identities, for some repositories", Args: cli.Exactly("NAME"),
		Long: `Trust someone for some repositories, by kind:

  key       public keys (--key)
  sigstore  certificates for identities, keyless (--trusted-root, --issuer, --subject)
  x509      certificates of a private PKI (--roots, --subject)
  notation  Notary Project signatures (--certificates, --subject)

Who may sign images is not thereby trusted to excuse their vulnerabilities: statements
about those (VEX) and reports of scanners count where --attests names them.

TUF repositories are trusted in the configuration file.`,
		Example: `  assay trust add release --key cosign.pub --repositories 'acme/**'
  assay trust add github --kind sigstore --trusted-root trusted_root.json --issuer https://token.actions.githubusercontent.com --subject 'https://github.com/acme/**' --repositories 'acme/**'
  assay trust add notary --kind notation --certificates ca.pem --subject 'CN=release,O=Acme' --repositories 'acme/**'
  assay trust add security --key security.pub --attests vex,vulnerabilities --repositories 'acme/**'`,
		RunE: func(c *cobra.Command, args []string) error {
			au, err := Authority(a, args[0], &n)
			if err != nil {
				return err
			}
			server, err := a.Connect(c.Context(), "")
			if err != nil {
				return err
			}
			if _, err := server.AddAuthority(c.Context(), au); err != nil {
				return err
			}
			return a.PrintValue(au, func() error {
				return a.Say("trusted: %s for %s (%s)", au.Name, cli.Patterns(au.Repositories), cli.Printable(strings.Join(described(au, false), ", ")))
			})
		},
	}
	n.flags(c)
	return a.WithServer(a.WithOutput(c))
}

func (n *NewAuthority) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&n.Kind, "kind", verify.KindKey, "how it signs: key, sigstore, x509 or notation")
	f.StringArrayVar(&n.Keys, "key", nil, "PEM file of a public key; may be given several times")
	f.StringVar(&n.notBefore, "not-before", "", "the keys count from this time on, such as 2027-01-31 or 2027-01-31T12:00:00Z")
	f.StringVar(&n.notAfter, "not-after", "", "the keys count until this time")
	f.StringVar(&n.trustedRoot, "trusted-root", "", "trusted_root.json of the Sigstore instance")
	f.StringVar(&n.roots, "roots", "", "PEM file with the roots of a private PKI")
	f.StringVar(&n.certificates, "certificates", "", "PEM file with the trust store of notation")
	f.StringVar(&n.stamps, "timestamp-roots", "", "PEM file with the certificates of the timestamping authorities")
	f.StringVar(&n.crls, "crls", "", "PEM file with revocation lists")
	f.StringVar(&n.issuer, "issuer", "", "issuer of the identities: exact, or with * and **")
	f.StringVar(&n.issuerRegexp, "issuer-regexp", "", "the same as a regular expression that matches the whole")
	f.StringArrayVar(&n.subjects, "subject", nil, "who may sign: exact, with * and **, or CN=..,O=.. of a certificate; may be given several times")
	f.StringArrayVar(&n.subjectRegexps, "subject-regexp", nil, "the same as a regular expression that matches the whole")
	f.IntVar(&n.Tlog, "tlog", -1, "log entries that a signature must bring along (default: the kind's)")
	f.IntVar(&n.Timestamps, "timestamps", -1, "trusted times that a signature must bring along (default: the kind's)")
	f.IntVar(&n.SCT, "sct", -1, "certificate timestamps that a signature must bring along (default: the kind's)")
	f.StringSliceVar(&n.Repositories, "repositories", nil, "patterns of the repositories for which it speaks: ** any components, * within one")
	f.StringSliceVar(&n.promote, "promote-from", nil, "patterns of repositories whose signatures are accepted too, for content that is copied on")
	f.StringSliceVar(&n.Attests, "attests", nil, "what it is trusted for: signatures, provenance, sbom, vex, vulnerabilities, other, or types of predicates (default: all but vex and vulnerabilities)")
	f.StringVar(&n.Binding, "binding", verify.BindingRepository, "repository compares the repository that a signature names; none does not")
	for _, name := range []string{"key", "roots", "certificates", "timestamp-roots", "crls"} {
		_ = c.MarkFlagFilename(name, "pub", "pem", "crt")
	}
	_ = c.MarkFlagFilename("trusted-root", "json")
	_ = c.RegisterFlagCompletionFunc("attests", cobra.FixedCompletions(verify.Attestable(), cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions([]string{verify.KindKey, verify.KindSigstore, verify.KindX509, verify.KindNotation}, cobra.ShellCompDirectiveNoFileComp))
}

// Authority reads the files that the flags name, and checks what can be checked here.
func Authority(a *cli.App, name string, n *NewAuthority) (verify.Authority, error) {
	au := verify.Authority{Name: name, Kind: n.Kind, Binding: n.Binding, Repositories: cli.Globs(n.Repositories), PromoteFrom: cli.Globs(n.promote), Attests: n.Attests}
	switch {
	case n.Kind == verify.KindTUF:
		return au, cli.Usage("a TUF repository is trusted in the configuration file: it can supply keys and policies")
	case n.Kind == verify.KindKey && len(n.Keys) == 0:
		return au, cli.Usage("--key is missing: name the PEM file of the public key, such as cosign.pub")
	case len(n.Repositories) == 0:
		return au, cli.Usage("--repositories is missing: name the repositories for which it speaks, such as 'acme/**'")
	case n.roots != "" && n.certificates != "":
		return au, cli.Usage("--roots is for kind x509 and --certificates for kind notation; give one of them")
	}
	for _, f := range []struct {
		flag, file string
		kind       string // that alone looks at it, or ""
		text       *string
	}{
		{"--trusted-root", n.trustedRoot, "", &au.TrustedRoot}, {"--roots", n.roots, verify.KindX509, &au.Roots}, {"--certificates", n.certificates, verify.KindNotation, &au.Roots},
		{"--timestamp-roots", n.stamps, "", &au.TimestampRoots}, {"--crls", n.crls, "", &au.CRLs},
	} {
		if f.file == "" {
			continue
		}
		if f.kind != "" && f.kind != n.Kind {
			return au, cli.Usage("%s is for --kind %s", f.flag, f.kind)
		}
		var err error
		if *f.text, err = material(a, f.file); err != nil {
			return au, err
		}
	}
	if err := n.identities(&au); err != nil {
		return au, err
	}
	n.profile(&au)
	if err := trustedKeys(a, n, &au); err != nil {
		return au, err
	}
	if err := au.Validate(); err != nil {
		return au, cli.Usage("%s", cli.Sentence(err))
	}
	return au, nil
}

// material reads a file that fits into an authority.
func material(a *cli.App, file string) (string, error) {
	text, err := a.ReadFile(file, verify.MaxTrustedRoot)
	switch {
	case err != nil:
		return "", err
	case strings.Contains(string(text), "PRIVATE KEY-----"):
		return "", fmt.Errorf("%s holds a private key, which stays with the signer; name the file of the certificates", file)
	}
	return string(text), nil
}

func (n *NewAuthority) identities(au *verify.Authority) error {
	for _, s := range n.subjects {
		au.Identities = append(au.Identities, verify.Identity{Issuer: n.issuer, IssuerRegexp: n.issuerRegexp, Subject: s})
	}
	for _, s := range n.subjectRegexps {
		au.Identities = append(au.Identities, verify.Identity{Issuer: n.issuer, IssuerRegexp: n.issuerRegexp, SubjectRegexp: s})
	}
	if len(au.Identities) == 0 && (n.issuer != "" || n.issuerRegexp != "") {
		return cli.Usage("--subject is missing: an issuer alone would trust everybody whom it knows")
	}
	if len(au.Identities) == 0 && n.Kind != verify.KindKey {
		return cli.Usage("--subject is missing: say who may sign")
	}
	return nil
}

func (n *NewAuthority) profile(au *verify.Authority) {
	if n.Tlog < 0 && n.Timestamps < 0 && n.SCT < 0 {
		return
	}
	p := au.Wants()
	for _, c := range []struct {
		asked int
		want  *int
	}{{n.Tlog, &p.Tlog}, {n.Timestamps, &p.Timestamps}, {n.SCT, &p.SCT}} {
		if c.asked >= 0 {
			*c.want = c.asked
		}
	}
	au.Profile = &p
}

func trustedKeys(a *cli.App, n *NewAuthority, au *verify.Authority) error {
	var window [2]time.Time
	for i, s := range []string{n.notBefore, n.notAfter} {
		if s == "" {
			continue
		}
		if len(n.Keys) == 0 {
			return cli.Usage("--not-before and --not-after go with --key")
		}
		d, err := settings.ParseDate(s)
		if err != nil {
			return cli.Usage("%w", err)
		}
		window[i] = d.Time
	}
	for _, file := range n.Keys {
		text, err := a.ReadFile(file, verify.MaxTrustedRoot)
		if err != nil {
			return err
		}
		k, err := verify.ParseKeyPEM(text)
		if err != nil {
			return cli.Usage("%s: %s", file, cli.Sentence(err))
		}
		k.NotBefore, k.NotAfter = window[0], window[1]
		au.Keys = append(au.Keys, k)
	}
	return nil
}
