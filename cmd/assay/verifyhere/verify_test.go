package verifyhere

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/cmd/assay/client"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/assay-registry/assay/verify/estate"
)

// What the registry refuses is not proven here either, nor the reverse: a subject with two digests, of which one is another's, is about nothing; sha512 alone suffices.
func TestAttackVerifyHereKnowsBothDigests(t *testing.T) {
	now := func() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }
	key := estate.New("seed", now).Key("release")
	public, err := verify.ParseKeyPEM([]byte(key.PublicPEM()))
	if err != nil {
		t.Fatal(err)
	}
	image := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
	subject := ocispec.Descriptor{MediaType: store.TypeIndex, Digest: store.DigestOf(digest.SHA256, image), Size: int64(len(image))}
	right, wrong := store.DigestOf(digest.SHA512, image).Encoded(), store.DigestOf(digest.SHA512, nil).Encoded()
	for name, c := range map[string]struct {
		digests string
		proven  bool
	}{
		"sha256":               {fmt.Sprintf(`"sha256":%q`, subject.Digest.Encoded()), true},
		"sha512":               {fmt.Sprintf(`"sha512":%q`, right), true},
		"both":                 {fmt.Sprintf(`"sha256":%q,"sha512":%q`, subject.Digest.Encoded(), right), true},
		"another under sha512": {fmt.Sprintf(`"sha256":%q,"sha512":%q`, subject.Digest.Encoded(), wrong), false},
	} {
		statement := fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","predicateType":"https://example.com/x","predicate":{"a":1},"subject":[{"name":"x","digest":{%s}}]}`, c.digests)
		layer := key.Attest(statement, estate.With{}).DSSELayer()
		evidence, err := json.Marshal(ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: verify.TypeInToto,
			Config: ocispec.DescriptorEmptyJSON, Layers: []ocispec.Descriptor{layer.Descriptor}, Subject: &subject})
		if err != nil {
			t.Fatal(err)
		}
		l, err := openLayout(layoutOf(t, subject, image, evidence, []byte("{}"), layer.Bytes))
		if err != nil {
			t.Fatal(err)
		}
		v := &verifying{a: &cli.App{World: cli.World{Clock: now}}, shelf: l, repo: "acme/app", verifier: place.NewVerifier(slog.New(slog.DiscardHandler)),
			authorities: []verify.Authority{{Name: "release", Kind: verify.KindKey, Keys: []verify.Key{public}, Repositories: store.Globs{"**"}}}}
		facts, err := v.facts(t.Context(), &client.Content{Descriptor: subject, Bytes: image})
		if err != nil || len(facts) != 1 || facts[0].Verified != c.proven {
			t.Errorf("%s: %+v, %v", name, facts, err)
		}
	}
}

// layoutOf is an OCI layout of a subject and evidence about it, with the blobs of the latter.
func layoutOf(t *testing.T, subject ocispec.Descriptor, image, evidence []byte, blobs ...[]byte) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755); err != nil {
		t.Fatal(err)
	}
	index, err := json.Marshal(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: []ocispec.Descriptor{subject,
		{MediaType: ocispec.MediaTypeImageManifest, Digest: store.DigestOf(digest.SHA256, evidence), Size: int64(len(evidence))}}})
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"index.json": index}
	for _, b := range append(blobs, image, evidence) {
		files["blobs/sha256/"+store.DigestOf(digest.SHA256, b).Encoded()] = b
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// What cosign save wrote names the image alone in index.json: the manifests of bundles lie among the blobs.
func TestVerifyHereFindsWhatCosignSaveStrews(t *testing.T) {
	image := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
	subject := ocispec.Descriptor{MediaType: store.TypeIndex, Digest: store.DigestOf(digest.SHA256, image), Size: int64(len(image))}
	manifest := func(about ocispec.Descriptor) []byte {
		b, err := json.Marshal(ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: verify.TypeInToto,
			Config: ocispec.DescriptorEmptyJSON, Layers: []ocispec.Descriptor{}, Subject: &about})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	other := ocispec.Descriptor{MediaType: store.TypeImage, Digest: store.DigestOf(digest.SHA256, nil), Size: 1}
	saved := subject
	saved.Annotations = map[string]string{"kind": "dev.cosignproject.cosign/imageIndex"}
	for name, c := range map[string]struct {
		listed ocispec.Descriptor
		want   int
	}{"by cosign": {saved, 1}, "by others": {subject, 0}} {
		dir := layoutOf(t, c.listed, image, []byte(`{"schemaVersion":2}`), manifest(subject), manifest(other), []byte("a layer"))
		if c.listed.Annotations != nil { // the evidence of layoutOf is in index.json; this layout's is not
			index, err := json.Marshal(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: []ocispec.Descriptor{c.listed}})
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "index.json"), index, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		damaged := filepath.Join(dir, "blobs", "sha256", store.DigestOf(digest.SHA256, []byte("elsewhere")).Encoded())
		if err := os.WriteFile(damaged, manifest(subject), 0o600); err != nil { // its name is not its digest
			t.Fatal(err)
		}
		l, err := openLayout(dir)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if all, err := l.attached(t.Context(), subject.Digest); err != nil || len(all) != c.want || c.want == 1 && (all[0].found != verify.FoundReferrers || string(all[0].content.Bytes) != string(manifest(subject))) {
				t.Errorf("%s: %+v, %v", name, all, err)
			}
		}
	}
}
