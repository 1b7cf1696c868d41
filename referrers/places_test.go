package referrers

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/assay-registry/assay/store"
)

// place is one of the forms in which evidence reaches a registry, as its client writes it: the manifest's own words, over layers that are what they say.
type place struct {
	name         string
	artifactType string // as the manifest says it; empty where older clients leave it out
	config       string // media type
	content      string // of the config
	layers       []sample
	reserved     Suffix // stands under this tag; "-" stands under none
	subject      bool
	annotations  map[string]string

	evidence    bool
	attestation bool   // in an index that marks it, it is one of BuildKit's
	derived     string // the artifact type in a listing
	format      Format
	predicate   string
}

const (
	nowhere     Suffix = "-"
	configTag          = `{"architecture":"","created":"0001-01-01T00:00:00Z","history":[{"created":"0001-01-01T00:00:00Z"}],"os":"","rootfs":{"type":"layers","diff_ids":["sha256:00"]},"config":{}}`
	imageType          = store.TypeImageConfig
	typeSigned         = "application/vnd.dev.cosign.artifact.sig.v1+json"
	provenance1        = "https://slsa.dev/provenance/v1"
)

// places follows the table of formats: the numbers are its rows.
func places() []place {
	statement1 := replaced(goodStatement, slsa, provenance1)
	bundle1 := replaced(goodBundle, b64(goodStatement), b64(statement1))
	bundleOf := func(version string) string {
		return replaced(goodBundle, "application/vnd.dev.sigstore.bundle.v0.3+json", "application/vnd.dev.sigstore.bundle+json;version="+version)
	}
	plain := replaced(goodBundle, b64(goodStatement), b64(replaced(goodStatement, slsa, "https://sigstore.dev/cosign/sign/v1")))
	contentTrust := replaced(goodTUF, `"_type":"targets"`, `"_type":"Targets"`)
	one := func(mediaType, content string) []sample { return []sample{{mediaType: mediaType, content: content}} }
	return []place{
		{name: "1 cosign signature, tag", config: imageType, content: configTag, layers: one(TypeSimpleSigning, goodPayload), reserved: SuffixSig, evidence: true, derived: imageType, format: SimpleSigning},
		{name: "1 cosign signature, no tag", config: imageType, content: configTag, layers: one(TypeSimpleSigning, goodPayload), reserved: nowhere},
		{name: "2 cosign attestation, tag", config: imageType, content: configTag, layers: one(TypeDSSE, goodEnvelope), reserved: SuffixAtt, evidence: true, derived: imageType, format: DSSE, predicate: slsa},
		{name: "3 SPDX text, tag", config: imageType, content: configTag, layers: one("text/spdx", goodTagValue), reserved: SuffixSBOM, evidence: true, derived: imageType, format: SPDX},
		{name: "3 SPDX JSON, tag", config: imageType, content: configTag, layers: one("text/spdx+json", goodSPDX), reserved: SuffixSBOM, evidence: true, derived: imageType, format: SPDX},
		{name: "3 CycloneDX, tag", config: imageType, content: configTag, layers: one(TypeCycloneDX, goodCycloneDX), reserved: SuffixSBOM, evidence: true, derived: imageType, format: CycloneDX},
		{name: "3 syft, tag", config: imageType, content: configTag, layers: one("application/vnd.syft+json", goodSyft), reserved: SuffixSBOM, evidence: true, derived: imageType, format: Syft},
		{name: "4 cosign signature, referrer without artifact type", config: typeSigned, content: configTag, layers: one(TypeSimpleSigning, goodPayload), reserved: nowhere, subject: true,
			evidence: true, derived: typeSigned, format: SimpleSigning},
		{name: "4 cosign signature, referrer", artifactType: typeSigned, config: store.TypeEmpty, content: "{}", layers: one(TypeSimpleSigning, goodPayload), reserved: nowhere, subject: true,
			evidence: true, derived: typeSigned, format: SimpleSigning},
		{name: "5 cosign attestation, referrer", artifactType: TypeInToto, config: store.TypeEmpty, content: "{}", layers: one(TypeDSSE, goodEnvelope), reserved: nowhere, subject: true,
			evidence: true, derived: TypeInToto, format: DSSE, predicate: slsa},
		{name: "6 sigstore bundle", artifactType: TypeBundle, config: store.TypeEmpty, content: "{}", layers: one(TypeBundle, plain), reserved: nowhere, subject: true,
			annotations: map[string]string{"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": "https://sigstore.dev/cosign/sign/v1"},
			evidence:    true, derived: TypeBundle, format: Bundle, predicate: "https://sigstore.dev/cosign/sign/v1"},
		{name: "7 bundle 0.1", artifactType: "application/vnd.dev.sigstore.bundle+json;version=0.1", config: store.TypeEmpty, content: "{}",
			layers: one("application/vnd.dev.sigstore.bundle+json;version=0.1", oldBundle), reserved: nowhere, subject: true,
			evidence: true, derived: "application/vnd.dev.sigstore.bundle+json;version=0.1", format: Bundle},
		{name: "7 bundle 0.2", artifactType: "application/vnd.dev.sigstore.bundle+json;version=0.2", config: store.TypeEmpty, content: "{}",
			layers: one("application/vnd.dev.sigstore.bundle+json;version=0.2", bundleOf("0.2")), reserved: nowhere, subject: true,
			evidence: true, derived: "application/vnd.dev.sigstore.bundle+json;version=0.2", format: Bundle, predicate: slsa},
		{name: "7 bundle 0.3, old spelling", artifactType: "application/vnd.dev.sigstore.bundle+json;version=0.3", config: store.TypeEmpty, content: "{}",
			layers: one("application/vnd.dev.sigstore.bundle+json;version=0.3", bundleOf("0.3")), reserved: nowhere, subject: true,
			evidence: true, derived: "application/vnd.dev.sigstore.bundle+json;version=0.3", format: Bundle, predicate: slsa},
		{name: "8 GitHub attestation", artifactType: TypeBundle, config: store.TypeEmpty, content: "{}", layers: one(TypeBundle, bundle1), reserved: nowhere, subject: true,
			annotations: map[string]string{"org.opencontainers.image.created": "2026-01-01T00:00:00Z", "dev.sigstore.bundle.predicateType": provenance1},
			evidence:    true, derived: TypeBundle, format: Bundle, predicate: provenance1},
		{name: "9 BuildKit, marked by the index", config: imageType, content: unknownPlatform, layers: one(TypeInToto, goodStatement), reserved: nowhere,
			attestation: true, derived: imageType, format: InToto, predicate: slsa},
		{name: "9 BuildKit, artifact with subject", artifactType: TypeAttestation, config: store.TypeEmpty, content: "{}", layers: one(TypeInToto, statement1), reserved: nowhere, subject: true,
			evidence: true, attestation: true, derived: TypeAttestation, format: InToto, predicate: provenance1},
		{name: "9 BuildKit, artifact of a local export", artifactType: TypeAttestation, config: store.TypeEmpty, content: "{}",
			layers: one(TypeInToto, replaced(goodStatement, `"subject":[`, `"subject":[],"x":[`)), reserved: nowhere, subject: true,
			attestation: true, derived: TypeAttestation, format: InToto, predicate: slsa},
		{name: "10 notation JWS", artifactType: TypeNotation, config: store.TypeEmpty, content: "{}", layers: one("application/jose+json", goodJWS), reserved: nowhere, subject: true,
			evidence: true, derived: TypeNotation, format: NotationJWS},
		{name: "10 notation COSE, by its config", config: TypeNotation, content: "{}", layers: one("application/cose", goodCOSE), reserved: nowhere, subject: true,
			evidence: true, derived: TypeNotation, format: NotationCOSE},
		{name: "11 TUF metadata about an image", artifactType: "application/vnd.tuf.metadata+json", config: store.TypeEmpty, content: "{}", layers: one("application/vnd.tuf.metadata+json", goodTUF),
			reserved: nowhere, subject: true, evidence: true, derived: "application/vnd.tuf.metadata+json", format: TUF},
		{name: "11 a TUF repository of its own", artifactType: "application/vnd.tuf.metadata+json", config: store.TypeEmpty, content: "{}", layers: one("application/vnd.tuf.metadata+json", goodTUF),
			reserved: nowhere},
		{name: "12 Docker Content Trust", artifactType: "application/vnd.tuf.metadata+json", config: store.TypeEmpty, content: "{}", layers: one("application/vnd.tuf.metadata+json", contentTrust),
			reserved: nowhere, subject: true, evidence: true, derived: "application/vnd.tuf.metadata+json", format: TUF},
	}
}

// parsed stores the parts and reads the manifest back as a push would.
func (k place) parsed(t *testing.T, c *content) *store.Parsed {
	t.Helper()
	config := c.add(k.config, k.content)
	m := map[string]any{"schemaVersion": 2, "mediaType": store.TypeImage, "config": config}
	layers := []store.Descriptor{}
	for _, l := range k.layers {
		layers = append(layers, c.add(l.mediaType, l.content))
	}
	m["layers"] = layers
	if k.artifactType != "" {
		m["artifactType"] = k.artifactType
	}
	if k.annotations != nil {
		m["annotations"] = k.annotations
	}
	if k.subject {
		m["subject"] = subject
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	p, err := store.ParseManifest(store.TypeImage, b)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPlaces: every row of the table of formats is found where it stands, and is what it is by its bytes.
func TestPlaces(t *testing.T) {
	marked := &store.Descriptor{Annotations: map[string]string{annotationReferenceType: attestationReferenceType, annotationReferenceDigest: string(subject.Digest)}}
	for _, k := range places() {
		t.Run(k.name, func(t *testing.T) {
			c := newContent()
			p := k.parsed(t, c)
			var reserved *Tag
			if k.reserved != nowhere {
				tag := TagOf(subject.Digest, k.reserved)
				reserved = &tag
			}
			class := classify(t, c, p, reserved)
			if class.Evidence != k.evidence {
				t.Fatalf("evidence %v: %s", class.Evidence, class.Why)
			}
			if k.evidence && (class.Parts[0].Format != k.format || class.Parts[0].PredicateType != k.predicate) {
				t.Errorf("%+v", class.Parts[0])
			}
			a, err := IsAttestation(t.Context(), marked, p, c.source())
			if err != nil || k.attestation && !a.Is || k.format != InToto && a.Is {
				t.Errorf("attestation %v: %s %v", a.Is, a.Why, err)
			}
			if k.attestation && (a.Names != subject.Digest || a.Parts[0].PredicateType != k.predicate) {
				t.Errorf("%+v", a)
			}
			if k.derived != "" && p.ArtifactType != k.derived {
				t.Errorf("listed as %q", p.ArtifactType)
			}
		})
	}
}

// TestPlaces_Fallback is row 13: a list of evidence under the bare tag is evidence itself, and what it lists is found whatever its entries are called, older clients
// having called them empty.
func TestPlaces_Fallback(t *testing.T) {
	c := newContent()
	tag := TagOf(subject.Digest, SuffixNone)
	var entries []store.Descriptor
	for _, k := range places() {
		if k.evidence && k.subject {
			b := fmt.Append(nil, k.name)
			d := store.Descriptor{MediaType: store.TypeImage, ArtifactType: store.TypeEmpty, Digest: store.DigestOf(digest.SHA256, b), Size: int64(len(b))}
			c.evidence[d.Digest] = true
			entries = append(entries, d)
		}
	}
	b, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": store.TypeIndex, "manifests": entries})
	if err != nil {
		t.Fatal(err)
	}
	p, err := store.ParseManifest(store.TypeIndex, b)
	if err != nil {
		t.Fatal(err)
	}
	if !classify(t, c, p, &tag).Evidence {
		t.Error("the list is no evidence")
	}
	if classify(t, c, p, nil).Evidence {
		t.Error("an index under no reserved tag is evidence")
	}
	for _, suffix := range []Suffix{SuffixSig, SuffixAtt, SuffixSBOM} {
		under := TagOf(subject.Digest, suffix)
		if !classify(t, c, p, &under).Evidence {
			t.Errorf("under %s", under)
		}
	}
	delete(c.evidence, entries[1].Digest)
	if classify(t, c, p, &tag).Evidence {
		t.Error("a list with an entry that is no evidence is evidence")
	}
}
