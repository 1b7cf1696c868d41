package signcmd

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/client"
	"github.com/assay-registry/assay/cmd/assay/docker"
	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/assay-registry/assay/verify/signer"
	"github.com/spf13/cobra"
)

// The forms of evidence that cosign reads.
const (
	formTag    = "tag"
	formBundle = "bundle"
)

// Signing is what sign and attest have in common.
type Signing struct {
	Key, form string
	recursive bool
}

// Flags gives a command the flags that say with which key to sign, and in which form.
func (s *Signing) Flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&s.Key, "key", "", "file of the private key: assay's, cosign's, or plain PEM")
	f.StringVar(&s.form, "form", formTag, "tag writes what every cosign reads, under a tag; bundle writes a Sigstore bundle as a referrer, cosign 3's form")
	f.BoolVarP(&s.recursive, "recursive", "r", false, "of a multi-platform image, sign each platform too")
	_ = c.MarkFlagFilename("key", "key", "pem")
	_ = c.RegisterFlagCompletionFunc("form", cobra.FixedCompletions([]string{formTag, formBundle}, cobra.ShellCompDirectiveNoFileComp))
}

// Check refuses flags that make no sense.
func (s *Signing) Check() error {
	if s.form != formTag && s.form != formBundle {
		return cli.Usage("%q is no form; use %s or %s", s.form, formTag, formBundle)
	}
	return nil
}

// Command is assay sign.
func Command(a *cli.App) *cobra.Command {
	var s Signing
	var pairs []string
	c := &cobra.Command{
		Use: "sign REF --key FILE", Short: "Sign an image with a key file", Args: cli.Exactly("REF"),
		Long: `Sign an image with a key file, in a form that cosign verifies. The signature is over
the digest that REF means now. On an image of several platforms, a signature on the
whole counts for each of them in this registry; other verifiers may want --recursive.`,
		Example: "  assay sign --key release.key registry.example.com/acme/app:v1",
		RunE: func(c *cobra.Command, args []string) error {
			annotations, err := annotationPairs(pairs)
			if err != nil {
				return err
			}
			return evidence(a, c.Context(), args[0], &s, referrers.SuffixSig, "signed", EvidenceMaker{
				Layer: func(k *signer.Key, subject signer.Subject) (*signer.Layer, error) {
					return k.Sign(subject, annotations)
				},
				Bundle: func(k *signer.Key, subject signer.Subject) (*signer.Attachment, error) {
					return k.SignBundle(subject, annotations, a.Clock())
				},
			})
		},
	}
	s.Flags(c)
	c.Flags().StringArrayVarP(&pairs, "annotation", "a", nil, "KEY=VALUE to sign too; may be given several times")
	return a.WithServer(a.WithOutput(c))
}

// annotationPairs reads KEY=VALUE.
func annotationPairs(pairs []string) (map[string]string, error) {
	var m map[string]string
	for _, p := range pairs {
		key, value, ok := strings.Cut(p, "=")
		if !ok || key == "" || len(p) > verify.MaxText {
			return nil, cli.Usage("%.40q is no annotation; write KEY=VALUE, of at most %d bytes", p, verify.MaxText)
		}
		if _, twice := m[key]; twice {
			return nil, cli.Usage("the annotation %.40q is given twice; keep one", key)
		}
		if m == nil {
			m = map[string]string{}
		}
		m[key] = value
	}
	return m, nil
}

// AttestCommand is assay attest.
func AttestCommand(a *cli.App) *cobra.Command {
	var s Signing
	var kind, file string
	c := &cobra.Command{
		Use: "attest REF --key FILE --type TYPE --predicate FILE", Short: "Sign a statement about an image with a key file", Args: cli.Exactly("REF"),
		Long: `Sign a statement (in-toto) about an image with a key file, in a form that cosign
verifies: an SBOM, the provenance of a build, the result of a scan or a test.
TYPE is a URI or one of: ` + strings.Join(signer.PredicateNames(), ", ") + ".",
		Example: "  assay attest --key release.key --type slsaprovenance1 --predicate provenance.json registry.example.com/acme/app:v1",
		RunE: func(c *cobra.Command, args []string) error {
			predicateType, err := signer.PredicateType(kind)
			if err != nil {
				return cli.Usage("--type: %s", cli.Sentence(err))
			}
			predicate, err := predicate(a, file)
			if err != nil {
				return err
			}
			return evidence(a, c.Context(), args[0], &s, referrers.SuffixAtt, "attested", EvidenceMaker{
				Layer: func(k *signer.Key, subject signer.Subject) (*signer.Layer, error) {
					return k.Attest(subject, predicateType, predicate)
				},
				Bundle: func(k *signer.Key, subject signer.Subject) (*signer.Attachment, error) {
					return k.AttestBundle(subject, predicateType, predicate, a.Clock())
				},
			})
		},
	}
	s.Flags(c)
	c.Flags().StringVar(&kind, "type", "", "what the statement says: a predicate type")
	c.Flags().StringVar(&file, "predicate", "", "file with the predicate in JSON; - for standard input")
	_ = c.RegisterFlagCompletionFunc("type", cobra.FixedCompletions(signer.PredicateNames(), cobra.ShellCompDirectiveNoFileComp))
	return a.WithServer(a.WithOutput(c))
}

func predicate(a *cli.App, file string) ([]byte, error) {
	switch file {
	case "":
		return nil, cli.Usage("--predicate is missing: name the JSON file that is attested")
	case "-":
		text, err := io.ReadAll(io.LimitReader(a.Stdin, verify.MaxAttestation+1))
		if err == nil && len(text) > verify.MaxAttestation {
			err = fmt.Errorf("the predicate has more than %d MiB, which no registry takes", verify.MaxAttestation>>20)
		}
		return text, err
	}
	return a.ReadFile(file, verify.MaxAttestation)
}

// EvidenceMaker makes one piece of evidence in either form.
type EvidenceMaker struct {
	Layer  func(*signer.Key, signer.Subject) (*signer.Layer, error)
	Bundle func(*signer.Key, signer.Subject) (*signer.Attachment, error)
}

// made is what a person and a script are told.
type made struct {
	Subject  store.Digest `json:"subject"`
	Evidence store.Digest `json:"evidence"`
	Form     string       `json:"form"`
	Key      string       `json:"key"`
}

// evidence signs what a reference means, and its children where asked, and puts each signature beside its subject.
func evidence(a *cli.App, ctx context.Context, arg string, s *Signing, suffix referrers.Suffix, verb string, make EvidenceMaker) error {
	if err := s.Check(); err != nil {
		return err
	}
	k, err := SigningKey(a, s.Key)
	if err != nil {
		return err
	}
	ref, server, err := a.Image(ctx, arg)
	if err != nil {
		return err
	}
	subjects, err := subjectsOf(ctx, server, ref, s.recursive)
	if err != nil {
		return err
	}
	all := []made{}
	for _, subject := range subjects {
		d, err := Attach(a, ctx, server, ref.Repository, s, suffix, k, subject, make)
		if err != nil {
			return err
		}
		all = append(all, made{subject.Digest, d, s.form, k.ID})
	}
	return a.PrintValue(all, func() error {
		for _, m := range all {
			if err := a.Say("%s: %s@%s by key %s", verb, cli.WithHost(server, string(ref.Repository)), m.Subject, cli.Short(m.Key)); err != nil {
				return err
			}
		}
		return nil
	})
}

// subjectsOf resolves a reference once: what is signed is a digest, whatever the tag does meanwhile.
func subjectsOf(ctx context.Context, server *client.Client, ref docker.Ref, recursive bool) ([]signer.Subject, error) {
	top, err := server.Get(ctx, ref.Repository, ref.Reference)
	if err != nil {
		return nil, err
	}
	p, err := store.ParseManifest(top.MediaType, top.Bytes)
	if err != nil {
		return nil, err
	}
	reference := cli.WithHost(server, string(ref.Repository))
	subjects := []signer.Subject{{Descriptor: top.Descriptor, Reference: reference}}
	if recursive {
		for _, m := range p.Manifests {
			subjects = append(subjects, signer.Subject{Descriptor: store.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: m.Size}, Reference: reference})
		}
	}
	return subjects, nil
}
