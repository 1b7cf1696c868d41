package referrers

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-registry/assay/store"
)

// fixtures is the folder of foreign content beside the module; without it the test has nothing to say, which continuous integration does not accept.
func fixtures(t *testing.T) string {
	t.Helper()
	dir := filepath.Join("..", "..", "shared", "fixtures")
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("the shared fixtures are missing")
		}
		t.Skip("the shared fixtures are missing")
	}
	return dir
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// layout loads an OCI layout: its blobs, and the manifests that its index lists, all levels.
func layout(t *testing.T, dir string) (*content, map[store.Digest]*store.Parsed, map[store.Digest]store.Descriptor) {
	t.Helper()
	c, manifests, entries := newContent(), map[store.Digest]*store.Parsed{}, map[store.Digest]store.Descriptor{}
	files, err := filepath.Glob(filepath.Join(dir, "blobs", "sha256", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		c.blobs[store.Digest("sha256:"+filepath.Base(f))] = read(t, f)
	}
	var walk func(contentType string, b []byte) *store.Parsed
	walk = func(contentType string, b []byte) *store.Parsed {
		p, err := store.ParseManifest(contentType, b)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range p.Manifests {
			entries[d.Digest] = d
			manifests[d.Digest] = walk(d.MediaType, c.blobs[d.Digest])
		}
		return p
	}
	walk(store.TypeIndex, read(t, filepath.Join(dir, "index.json")))
	return c, manifests, entries
}

// TestForeignLayouts classifies content that cosign, BuildKit and GitHub Actions made: the .att manifest is evidence under its tag and nothing without
// it, BuildKit's manifest is an attestation, the images are neither, and every image config parses.
func TestForeignLayouts(t *testing.T) {
	dir := fixtures(t)
	for _, name := range []string{"slsa-1.10.0", "slsa-2.0.0"} {
		c, manifests, entries := layout(t, filepath.Join(dir, "signed-images", name, "container_workflow_dispatch"))
		counts := map[string]int{}
		for d, p := range manifests {
			tag := TagOf(subject.Digest, SuffixAtt)
			under, without := classify(t, c, p, &tag), classify(t, c, p, nil)
			if without.Evidence {
				t.Errorf("%s is evidence without tag or subject", d)
			}
			entry := entries[d]
			a, err := IsAttestation(t.Context(), &entry, p, c.source())
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case entry.Annotations["kind"] == "dev.cosignproject.cosign/atts":
				counts["att"]++
				if !under.Evidence || under.Parts[0].Format != DSSE || !strings.HasPrefix(under.Parts[0].PredicateType, "https://slsa.dev/provenance/") {
					t.Errorf("%s: %+v", d, under.Why)
				}
			case entry.Annotations[annotationReferenceType] != "":
				counts["buildkit"]++
				if !a.Is || manifests[a.Names] == nil || a.Parts[0].PredicateType != "https://slsa.dev/provenance/v0.2" && a.Parts[0].PredicateType != "https://slsa.dev/provenance/v1" {
					t.Errorf("%s: %+v", d, a.Why)
				}
			case p.Kind() == store.KindImage:
				counts["image"]++
				if under.Evidence || a.Is {
					t.Errorf("%s is an image", d)
				}
				if config, err := store.ParseImageConfig(c.blobs[p.Config.Digest]); err != nil || len(config.DiffIDs) != len(p.Layers) || config.OS == "" {
					t.Errorf("%s: %+v %v", d, config, err)
				}
			}
		}
		if counts["att"] != 1 || counts["buildkit"] == 0 || counts["image"] == 0 {
			t.Errorf("%s: %v", name, counts)
		}
	}
}

// TestForeignSignatures parses the payloads that cosign signed.
func TestForeignSignatures(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(fixtures(t), "signed-images", "containers-image", "*", "signature-1"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		var sig struct{ MimeType, Payload string }
		_, body, _ := strings.Cut(string(read(t, f)), "\n")
		if err := json.Unmarshal([]byte(body), &sig); err != nil {
			t.Fatal(f, err)
		}
		payload, err := base64.StdEncoding.DecodeString(sig.Payload)
		if err != nil {
			t.Fatal(f, err)
		}
		if _, err := parsePart(sig.MimeType, payload); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
}

// TestForeignTUF parses metadata that another implementation signed.
func TestForeignTUF(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(fixtures(t), "tuf", "*", "metadata", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		if _, err := parsePart("application/vnd.tuf.metadata+json", read(t, f)); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
}
