package sigstore

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// fixtures are signed content that others made. They lie beside the project; in CI they must be there.
func fixtures(t *testing.T, name string) string {
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

func mustRead(t *testing.T, elements ...string) []byte {
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

// Keyless provenance, as slsa-github-generator attached it: no key can prove it, and the refusal says what it is.
func TestForeignKeylessProvenance(t *testing.T) {
	for _, release := range []string{"slsa-1.10.0", "slsa-2.0.0"} {
		t.Run(release, func(t *testing.T) {
			foreignProvenance(t, fixtures(t, "signed-images/"+release+"/container_workflow_dispatch"))
		})
	}
}

func foreignProvenance(t *testing.T, dir string) {
	var index struct {
		Manifests []store.Descriptor `json:"manifests"`
	}
	decodeFile(t, mustRead(t, dir, "index.json"), &index)
	blob := func(d store.Digest) []byte { return mustRead(t, dir, "blobs", d.Algorithm().String(), d.Encoded()) }
	seen := 0
	for _, m := range index.Manifests {
		body := blob(m.Digest)
		var manifest struct {
			Layers []store.Descriptor `json:"layers"`
		}
		decodeFile(t, body, &manifest)
		for _, l := range manifest.Layers {
			if l.MediaType != verify.TypeDSSE {
				continue
			}
			seen++
			own := release(p256(t, "signer").key)
			own.Repositories = store.Globs{"**"}
			f := one(t, subjectOf("acme/app", body), verify.Layer{Descriptor: l, Bytes: blob(l.Digest)}, own)
			want(t, f, verify.CodeUnsupported)
			if f.PredicateType != "https://slsa.dev/provenance/v0.2" {
				t.Errorf("got predicate type %q", f.PredicateType)
			}
		}
	}
	if seen == 0 {
		t.Error("the fixture has no attestation")
	}
}

func decodeFile(t *testing.T, b []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}
