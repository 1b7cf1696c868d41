package policycmd

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/client"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/docker"
	"github.com/assay-registry/assay/cmd/assay/rehearse"
	"github.com/assay-registry/assay/cmd/assay/rules"
	"github.com/assay-registry/assay/cmd/assay/signcmd"
	"github.com/assay-registry/assay/policy/bundle"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify/signer"
	"github.com/spf13/cobra"
)

func policyPush(a *cli.App) *cobra.Command {
	var s signcmd.Signing
	revision := ""
	c := &cobra.Command{
		Use: "push DIRECTORY [HOST/]REPOSITORY:TAG --revision N --key FILE", Short: "Push policies into a registry, signed", Args: cli.Exactly("DIRECTORY", "REPOSITORY:TAG"),
		Long: `Push policies into a registry as an artifact, and sign it. A registry whose configuration says
rego: oci:REPOSITORY:TAG puts them into force within a second, once one of its policy_authorities
has signed them and the revision is higher than before. Without --key somebody else signs the
digest that is printed: assay sign, cosign sign.
They are compiled and their tests are run first.`,
		Example: "  assay policy push policies registry.example.com/acme/policies:v3 --revision 7 --key policies.key",
		RunE: func(c *cobra.Command, args []string) error {
			number, err := bundle.ParseRevision(revision)
			if err != nil {
				return cli.Usage("--revision: %s", cli.Sentence(err))
			}
			content, err := packPolicies(a, c.Context(), args[0], number)
			if err != nil {
				return err
			}
			return pushPolicies(a, c.Context(), args[1], content, number, &s)
		},
	}
	s.Flags(c)
	_ = c.Flags().MarkHidden("recursive")
	c.Flags().StringVar(&revision, "revision", "", "a number that is higher than that of what is in force")
	return a.WithServer(a.WithOutput(c))
}

// packPolicies checks a directory, runs its tests, and makes a bundle of it. Tests stay behind.
func packPolicies(a *cli.App, ctx context.Context, dir string, revision uint64) ([]byte, error) {
	all, err := rules.Sources(a.Path(dir), ".rego", ".txtar", bundle.DataFile)
	if err != nil {
		return nil, err
	}
	results, err := runTests(a, ctx, all)
	if err != nil {
		return nil, err
	}
	for _, r := range results {
		if !r.Pass && !r.Skipped {
			return nil, store.Errorf(store.CodeInvalid, "the test %s in %s fails; see assay policy test %s", r.Name, r.File, dir)
		}
	}
	files := map[string]string{}
	for name, text := range all {
		if name == bundle.DataFile || strings.HasSuffix(name, ".rego") && !strings.HasSuffix(name, "_test.rego") {
			files[name] = text
		}
	}
	p := engine.Policy{Name: "pushed", Repositories: store.Globs{"**"}}
	if err := rules.Fill(&p, files, dir); err != nil {
		return nil, err
	}
	if _, problems, err := engine.Check(ctx, []engine.Policy{p}, engine.Options{Rehearse: rehearse.New(a.Self).Rehearse}); err != nil || len(problems) > 0 {
		if err == nil {
			err = &engine.CompileError{Problems: problems}
		}
		return nil, err
	}
	return bundle.Pack(files, revision)
}

// pushed is what a person and a script are told.
type pushed struct {
	Reference string       `json:"reference"`
	Digest    store.Digest `json:"digest"`
	Revision  uint64       `json:"revision"`
	Evidence  store.Digest `json:"evidence,omitempty"` // the signature
}

func pushPolicies(a *cli.App, ctx context.Context, where string, content []byte, revision uint64, s *signcmd.Signing) error {
	ref, server, err := a.Image(ctx, strings.TrimPrefix(where, config.FromOCI))
	if err != nil {
		return err
	}
	if ref.Reference.Tag == "" {
		return cli.Usage("policies are pushed under a tag; write %s:TAG", ref.Repository)
	}
	if s.Key != "" {
		if err := s.Check(); err != nil {
			return err
		}
	}
	layer, err := server.PutBlob(ctx, ref.Repository, content)
	if err != nil {
		return err
	}
	empty, err := server.PutBlob(ctx, ref.Repository, []byte("{}"))
	if err != nil {
		return err
	}
	layer.MediaType, empty.MediaType = rules.TypePolicyLayer, "application/vnd.oci.empty.v1+json"
	number := strconv.FormatUint(revision, 10)
	manifest, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": store.TypeImage, "artifactType": rules.TypePolicy, "config": empty, "layers": []store.Descriptor{layer},
		"annotations": map[string]string{rules.AnnotationRevision: number}})
	if err != nil {
		return err
	}
	d, err := server.PutManifest(ctx, ref.Repository, ref.Reference, store.TypeImage, manifest)
	if err != nil {
		return err
	}
	made := pushed{Reference: cli.WithHost(server, string(ref.Repository)+":"+ref.Reference.Tag), Digest: d.Digest, Revision: revision}
	if s.Key != "" {
		if made.Evidence, err = SignPolicies(a, ctx, server, ref, d.Descriptor, s); err != nil {
			return err
		}
	}
	return a.PrintValue(made, func() error {
		if made.Evidence == "" {
			return a.Say("pushed: %s revision %d (%s); sign it: assay sign --key FILE %s@%s", made.Reference, revision, cli.Short(string(d.Digest)), cli.WithHost(server, string(ref.Repository)), d.Digest)
		}
		return a.Say("pushed and signed: %s revision %d (%s)", made.Reference, revision, cli.Short(string(d.Digest)))
	})
}

// SignPolicies signs an artifact that was pushed, as policies and databases are signed.
func SignPolicies(a *cli.App, ctx context.Context, server *client.Client, ref docker.Ref, d store.Descriptor, s *signcmd.Signing) (store.Digest, error) {
	k, err := signcmd.SigningKey(a, s.Key)
	if err != nil {
		return "", err
	}
	subject := signer.Subject{Descriptor: d, Reference: cli.WithHost(server, string(ref.Repository))}
	return signcmd.Attach(a, ctx, server, ref.Repository, s, referrers.SuffixSig, k, subject, signcmd.EvidenceMaker{
		Layer: func(k *signer.Key, subject signer.Subject) (*signer.Layer, error) { return k.Sign(subject, nil) },
		Bundle: func(k *signer.Key, subject signer.Subject) (*signer.Attachment, error) {
			return k.SignBundle(subject, nil, a.Clock())
		},
	})
}
