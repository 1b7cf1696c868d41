package sigstore

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// fixtures are signed content that others made. They lie beside the project; in CI they must be there.
func fixtures(t testing.TB, name string) string {
	t.Helper()
	dir := filepath.Join("..", "..", "..", "shared", "fixtures", filepath.FromSlash(name))
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the shared fixtures are missing: %v", err)
		}
		t.Skipf("the shared fixtures are not beside the project: %v", err)
	}
	return dir
}

func mustRead(t testing.TB, elements ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(elements...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sigstoreJSON reads a signature file of containers/image: a magic line, then the layer as JSON.
func sigstoreJSON(t *testing.T, b []byte) verify.Layer {
	t.Helper()
	b, ok := bytes.CutPrefix(b, []byte("\x00sigstore-json\n"))
	var doc struct {
		MIMEType    string            `json:"mimeType"`
		Payload     []byte            `json:"payload"`
		Annotations map[string]string `json:"annotations"`
	}
	if err := json.Unmarshal(b, &doc); err != nil || !ok {
		t.Fatalf("no signature file: %v", err)
	}
	return layer(doc.MIMEType, doc.Payload, doc.Annotations)
}

func TestForeignSimpleSigning(t *testing.T) {
	dir := fixtures(t, "signed-images/containers-image")
	keyed := func(file string) verify.Authority {
		k, err := verify.ParseKeyPEM(mustRead(t, dir, file))
		if err != nil {
			t.Fatal(err)
		}
		return verify.Authority{Name: file[:len(file)-len(".pub")], Kind: verify.KindKey, Keys: []verify.Key{k}, Repositories: store.Globs{"**"}}
	}
	first, second := keyed("cosign.pub"), keyed("cosign2.pub")
	for _, c := range []struct {
		folder, repository string
		authority          verify.Authority
		code               verify.Code
	}{
		{"dir-img-cosign-valid", "cosign-signed-single-sample", first, ""},
		{"dir-img-cosign-valid", "cosign-signed-single-sample", second, verify.CodeUntrustedKey},
		{"dir-img-cosign-valid", "cosign-signed/key-1", first, verify.CodeOtherRepository},
		{"dir-img-cosign-key-rekor-valid", "cosign-signed/key-1", second, ""}, // Rekor's log ignored
		{"dir-img-cosign-key-rekor-valid", "cosign-signed/key-1", first, verify.CodeUntrustedKey},
		{"dir-img-cosign-key-rekor-valid", "other/key-1", second, verify.CodeOtherRepository},
		{"dir-img-cosign-modified-manifest", "cosign-signed-single-sample", first, verify.CodeDigestMismatch},
		{"dir-img-cosign-modified-manifest", "other", first, verify.CodeOtherRepository},
		{"dir-img-cosign-modified-manifest", "cosign-signed-single-sample", second, verify.CodeUntrustedKey},
		{"dir-img-cosign-fulcio-rekor-valid", "cosign-signed/fulcio-rekor-1", first, verify.CodeUnsupported},
		{"dir-img-cosign-fulcio-rekor-valid", "cosign-signed/fulcio-rekor-1", second, verify.CodeUnsupported},
		{"dir-img-cosign-pki-valid", "test", first, verify.CodeUnsupported},
	} {
		t.Run(c.folder+"/"+c.authority.Name+"/"+c.repository, func(t *testing.T) {
			manifest := mustRead(t, dir, c.folder, "manifest.json")
			l := sigstoreJSON(t, mustRead(t, dir, c.folder, "signature-1"))
			f := one(t, subjectOf(c.repository, manifest), l, c.authority)
			want(t, f, c.code)
		})
	}
}

// provenance is the attestation of one of the SLSA layouts, and the index that it is about.
func provenance(t testing.TB, release string) (verify.Subject, verify.Layer) {
	t.Helper()
	dir := fixtures(t, "signed-images/"+release+"/container_workflow_dispatch")
	var index struct {
		Manifests []store.Descriptor `json:"manifests"`
	}
	decodeFile(t, mustRead(t, dir, "index.json"), &index)
	blob := func(d store.Digest) []byte { return mustRead(t, dir, "blobs", d.Algorithm().String(), d.Encoded()) }
	var subject verify.Subject
	var found []verify.Layer
	for _, m := range index.Manifests {
		body := blob(m.Digest)
		if m.MediaType == store.TypeIndex {
			subject = subjectOf("acme/app", body)
		}
		var manifest struct {
			Layers []store.Descriptor `json:"layers"`
		}
		decodeFile(t, body, &manifest)
		for _, l := range manifest.Layers {
			if l.MediaType == verify.TypeDSSE {
				found = append(found, verify.Layer{Descriptor: l, Bytes: blob(l.Digest)})
			}
		}
	}
	if len(found) != 1 || subject.Repository == "" {
		t.Fatalf("the fixture has %d attestations", len(found))
	}
	return subject, found[0]
}

const actions = "https://token.actions.githubusercontent.com"

// publicGood is an authority of the public instance.
func publicGood(t testing.TB, identities ...verify.Identity) verify.Authority {
	t.Helper()
	return verify.Authority{Name: "public-good", Kind: verify.KindSigstore, TrustedRoot: string(mustRead(t, fixtures(t, "trust"), "public-good-trusted_root.json")),
		Identities: identities, Repositories: store.Globs{"**"}}
}

// Keyless provenance, as slsa-github-generator attached it, is proven offline under the public root, for its workflow and issuer and no other.
func TestForeignKeylessProvenance(t *testing.T) {
	const workflow = "https://github.com/slsa-framework/slsa-github-generator/.github/workflows/generator_container_slsa3.yml@refs/tags/"
	for release, version := range map[string]string{"slsa-1.10.0": "v1.10.0", "slsa-2.0.0": "v2.0.0"} {
		t.Run(release, func(t *testing.T) {
			subject, l := provenance(t, release)
			for _, identity := range []verify.Identity{
				{Issuer: actions, Subject: workflow + version}, {Issuer: actions, Subject: "https://github.com/slsa-framework/**"},
				{IssuerRegexp: "https://token[.]actions[.]githubusercontent[.]com", SubjectRegexp: "https://github[.]com/slsa-framework/.*"},
			} {
				f := one(t, subject, l, publicGood(t, verify.Identity{Issuer: "https://other.example", Subject: "x"}, identity))
				want(t, f, "")
				if f.Issuer != actions || f.Identity != workflow+version || f.PredicateType != "https://slsa.dev/provenance/v0.2" || f.Summary["builder"] != workflow+version ||
					f.Extensions["build_signer_uri"] != workflow+version || f.Extensions["source_repository_uri"] != "https://github.com/slsa-framework/example-package" ||
					f.Extensions["github_workflow_trigger"] != "push" || f.TimeSource != verify.TimeRekor || len(f.Logs) != 1 || !f.Logs[0].At.Equal(f.SignedAt) ||
					f.Logs[0].Log != "c0d23d6ad406973f9559f3ba2d1ca01f84147d8ffc5b8445c224f98b9591801d" || !f.ValidUntil.IsZero() || len(f.Extensions) != 19 {
					t.Errorf("got %+v", f)
				}
			}
			for wanted, identity := range map[string]verify.Identity{
				"workflows/generator_container_slsa3.yml@refs/tags/" + version + ", wanted https://github.com/acme/**;": {Issuer: actions, Subject: "https://github.com/acme/**"},
				"The issuer is " + actions + ", wanted https://gitlab.com;":                                             {Issuer: "https://gitlab.com", Subject: workflow + version},
			} {
				f := one(t, subject, l, publicGood(t, identity))
				want(t, f, verify.CodeIdentity)
				if !strings.Contains(f.Message, wanted) || f.Identity != workflow+version || f.Issuer != actions {
					t.Errorf("got %+v, want %q", f, wanted)
				}
			}
			want(t, one(t, app(), l, publicGood(t, verify.Identity{Issuer: actions, Subject: "https://github.com/**"})), verify.CodeDigestMismatch)
			own := keysOnly(t)
			want(t, one(t, subject, l, own), verify.CodeUnsupported)
		})
	}
}

// keysOnly is an authority that knows a key and nothing else.
func keysOnly(t testing.TB) verify.Authority {
	own := release(p256(t, "signer").key)
	own.Repositories = store.Globs{"**"}
	return own
}

func decodeFile(t testing.TB, b []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}
