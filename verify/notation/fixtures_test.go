package notation

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/opencontainers/go-digest"
)

// The layout that notation-go's own tests sign holds an image and no signature: it is signed here, as those tests do.
func TestForeignLayout(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "shared", "fixtures", "notation", "oci-layout")
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the shared fixtures are missing: %v", err)
		}
		t.Skipf("the shared fixtures are not beside the project: %v", err)
	}
	index, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct{ Manifests []store.Descriptor }
	if err := json.Unmarshal(index, &doc); err != nil || len(doc.Manifests) != 1 {
		t.Fatalf("%d manifests, %v", len(doc.Manifests), err)
	}
	d := doc.Manifests[0]
	manifest, err := os.ReadFile(filepath.Join(dir, "blobs", "sha256", d.Digest.Encoded()))
	if err != nil || store.DigestOf(digest.SHA256, manifest) != d.Digest {
		t.Fatal("the layout is damaged", err)
	}
	s := verify.Subject{Repository: "acme/alpine", Descriptor: d, Alternate: store.DigestOf(digest.SHA512, manifest)}
	p := plainPKI(t)
	for _, mediaType := range []string{typeJWS, typeCOSE} {
		want(t, one(t, s, byNotation(t, mediaType, p.leaf, descriptor(s), nil), p.notary()), "")
		want(t, one(t, app(), byNotation(t, mediaType, p.leaf, descriptor(s), nil), p.notary()), verify.CodeDigestMismatch)
	}
}
