package policy_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/policy/explain"
	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// foreign is an OCI layout that others made: an index and the attestation manifest beside it.
type foreign struct {
	dir        string
	index, att ocispec.Descriptor
}

func (f *foreign) content(t testing.TB, d store.Digest) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(f.dir, "blobs", string(d.Algorithm()), d.Encoded()))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// slsa opens one of the layouts of signed images beside the project.
func slsa(t testing.TB, name string) *foreign {
	t.Helper()
	f := &foreign{dir: filepath.Join(fixtureRoot(t), "signed-images", name, "container_workflow_dispatch")}
	b, err := os.ReadFile(filepath.Join(f.dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var top ocispec.Index
	if err := json.Unmarshal(b, &top); err != nil {
		t.Fatal(err)
	}
	for _, m := range top.Manifests {
		switch m.Annotations["kind"] {
		case "dev.cosignproject.cosign/imageIndex":
			f.index = m
		case "dev.cosignproject.cosign/atts":
			f.att = m
		}
	}
	return f
}

func fixtureRoot(t testing.TB) string {
	t.Helper()
	root := filepath.Join("..", "..", "shared", "fixtures")
	if _, err := os.Stat(root); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the shared fixtures are missing: %v", err)
		}
		t.Skipf("the shared fixtures are not beside the project: %v", err)
	}
	return root
}

// pushForeign pushes a manifest of a layout with all that it references, unchanged.
func (k *kit) pushForeign(repo store.Name, f *foreign, d ocispec.Descriptor, tag string) {
	k.t.Helper()
	b := f.content(k.t, d.Digest)
	p, err := store.ParseManifest(d.MediaType, b)
	if err != nil {
		k.t.Fatal(err)
	}
	for _, m := range p.Manifests {
		k.pushForeign(repo, f, m, "")
	}
	for _, blob := range p.Layers {
		k.blob(both, repo, f.content(k.t, blob.Digest))
	}
	if p.Config != nil {
		k.blob(both, repo, f.content(k.t, p.Config.Digest))
	}
	refs := []store.Reference{{Digest: d.Digest}}
	if tag != "" {
		refs = []store.Reference{{Tag: tag}}
	}
	r, err := k.as(both).PutManifest(k.ctx, repo, refs, &store.Manifest{Descriptor: ocispec.Descriptor{MediaType: d.MediaType}, Bytes: b})
	if err != nil {
		k.t.Fatal(err)
	}
	if r.Descriptor.Digest != d.Digest || store.DigestOf(digest.SHA256, b) != d.Digest {
		k.t.Fatalf("stored as %s, not %s", r.Descriptor.Digest, d.Digest)
	}
}

const (
	githubIssuer  = "https://token.actions.githubusercontent.com"
	slsaGenerator = "https://github.com/slsa-framework/slsa-github-generator/.github/workflows/generator_container_slsa3.yml"
	slsaWorkflow  = "https://github.com/slsa-framework/example-package/.github/workflows/verifier-e2e.all.workflow_dispatch.main.all.slsa3.yml"
)

// underProvenance is a gate with the public-good root for who may sign, and the policy provenance.
func underProvenance(t *testing.T, subject string, params map[string]any) *kit {
	t.Helper()
	root, err := os.ReadFile(filepath.Join(fixtureRoot(t), "trust", "public-good-trusted_root.json"))
	if err != nil {
		t.Fatal(err)
	}
	p := builtin("provenance")
	p.Params = params
	set := compile(t, p)
	return newKit(t, func(o *policy.Options) {
		o.Engine = set
		o.Authorities = []verify.Authority{{Name: "github", Kind: verify.KindSigstore, TrustedRoot: string(root), Repositories: store.Globs{"acme/**"},
			Identities: []verify.Identity{{Issuer: githubIssuer, Subject: subject}}}}
	})
}

// TestProvenance_Foreign: what GitHub's runners built and attested is quarantined without its attestation and admitted by it, under the policy provenance and the public
// root, offline; under another workflow, issuer, builder, source or reference it is refused with that reason.
func TestProvenance_Foreign(t *testing.T) {
	for name, version := range map[string]string{"slsa-1.10.0": "v1.10.0", "slsa-2.0.0": "v2.0.0"} {
		identity := slsaGenerator + "@refs/tags/" + version
		wanted := map[string]any{"issuer": githubIssuer, "workflow": identity, "builder": identity}
		for _, c := range []struct {
			name    string
			subject string
			params  map[string]any
			code    string // empty: admitted
			says    string
		}{
			{"as wanted", identity, wanted, "", ""},
			{"any version of the builder", "https://github.com/slsa-framework/**", map[string]any{"builder": slsaGenerator, "identity": slsaGenerator + "@refs/tags/*"}, "", ""},
			{"the workflow that was started", identity, map[string]any{"workflow": slsaWorkflow, "source": "github.com/slsa-framework/example-package", "ref": "refs/tags/v13.*"}, "", ""},
			{"another workflow", identity, map[string]any{"workflow": "https://github.com/slsa-framework/example-package/.github/workflows/other.yml"}, "attestation.workflow", "slsa3.yml@refs/tags/"},
			{"another identity", identity, map[string]any{"identity": slsaGenerator + "@refs/tags/v9"}, "attestation.identity", "v9 is wanted"},
			{"another issuer", identity, map[string]any{"issuer": "https://gitlab.com"}, "attestation.issuer", githubIssuer + ", and https://gitlab.com is wanted"},
			{"another builder", identity, map[string]any{"builder": slsaGenerator + "@refs/tags/v9"}, "attestation.builder", version + ", and "},
			{"another source", identity, map[string]any{"source": "https://github.com/acme/app"}, "attestation.source", "https://github.com/slsa-framework/example-package, and https://github.com/acme/app is wanted"},
			{"another reference", identity, map[string]any{"ref": "main"}, "attestation.ref", "refs/tags/v13.0.30, and main is wanted"},
			{"an identity that the authority does not name", "https://github.com/acme/**", wanted, "signature.identity", "whom no trusted authority names"},
		} {
			t.Run(name+"/"+c.name, func(t *testing.T) {
				f := slsa(t, name)
				k := underProvenance(t, c.subject, c.params)
				k.pushForeign("acme/app", f, f.index, "v1")
				want(t, "before its attestation", k.get(puller, "acme/app", "v1"), denied)
				if e := k.explain("acme/app", f.index.Digest); e.State != store.StateQuarantined || e.Decision.Deny[0].Code != "attestation.missing" {
					t.Errorf("%s: %+v", e.State, e.Decision.Deny)
				}
				k.pushForeign("acme/app", f, f.att, referrers.TagOf(f.index.Digest, referrers.SuffixAtt).String())
				if c.code == "" {
					k.wantAll(f)
					return
				}
				want(t, "with its attestation", k.get(puller, "acme/app", "v1"), denied)
				e := k.explain("acme/app", f.index.Digest)
				if len(e.Decision.Deny) != 1 || e.Decision.Deny[0].Code != c.code || !strings.Contains(e.Decision.Deny[0].Message, c.says) {
					t.Errorf("got %+v, want %s %q", e.Decision.Deny, c.code, c.says)
				}
			})
		}
	}
}

// wantAll: the index is admitted, and with it what it holds: the image by what it inherits, BuildKit's attestation by the index.
func (k *kit) wantAll(f *foreign) {
	k.t.Helper()
	want(k.t, "the tag", k.get(puller, "acme/app", "v1"), string(f.index.Digest))
	p, err := store.ParseManifest(f.index.MediaType, f.content(k.t, f.index.Digest))
	if err != nil {
		k.t.Fatal(err)
	}
	for _, m := range p.Manifests {
		want(k.t, "a child", k.get(puller, "acme/app", string(m.Digest)), string(m.Digest))
	}
	want(k.t, "a repository that the authority does not cover", k.get(puller, "other/app", "v1"), unknown)
}

func (k *kit) explain(repo store.Name, d store.Digest) *explain.Explanation {
	k.t.Helper()
	e, err := k.a.Explain(k.ctx, admin, repo, store.Reference{Digest: d})
	if err != nil || e.Decision == nil {
		k.t.Fatalf("%+v, %v", e, err)
	}
	return e
}

// TestProvenance_Predicate: a policy of one's own reads what no summary has, and the verdict is the same whoever asks when.
func TestProvenance_Predicate(t *testing.T) {
	const own = `package assay

import data.assay.lib

admit.deny contains {"code": "attestation.event", "msg": "It was not built by a push to a tag."} if not pushed

pushed if {
	some a in lib.attestations({"authorities": "github", "predicate_types": "https://slsa.dev/provenance/*"})
	lib.predicate(a).invocation.environment.github_event_name == %s
}
`
	for event, got := range map[string]string{`"push"`: "", `"schedule"`: denied} {
		f := slsa(t, "slsa-2.0.0")
		k := underProvenance(t, "https://github.com/slsa-framework/**", nil)
		k.opts.Engine = compile(t, engine.Policy{Name: "own", Repositories: store.Globs{allRepos}, Source: map[string]string{"own.rego": strings.Replace(own, "%s", event, 1)}})
		k.start()
		k.pushForeign("acme/app", f, f.index, "v1")
		want(t, "before its attestation", k.get(puller, "acme/app", "v1"), denied)
		k.pushForeign("acme/app", f, f.att, referrers.TagOf(f.index.Digest, referrers.SuffixAtt).String())
		if got == "" {
			got = string(f.index.Digest)
		}
		want(t, "with its attestation", k.get(puller, "acme/app", "v1"), got)
	}
}
