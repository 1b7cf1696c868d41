package sbom

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/sigstore/pkg/signature"
	sigdsse "github.com/sigstore/sigstore/pkg/signature/dsse"

	"github.com/assay-registry/assay/store"
)

// seed is a source of key material that always gives the same.
type seed byte

func (s seed) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(s)
	}
	return len(p), nil
}

func testKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, text, err := NewKey(seed(7))
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	if !key.(ed25519.PrivateKey).Equal(again) {
		t.Fatal("the key that was read is not the key that was written")
	}
	return again
}

func testRequest(t *testing.T) AttachRequest {
	manifest := []byte(`{"schemaVersion":2}`)
	return AttachRequest{
		Subject: store.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest, Digest: store.DigestOf(digest.SHA256, manifest), Size: int64(len(manifest)),
			Annotations: map[string]string{"not": "copied"},
		},
		Repository: "acme/app",
		Documents: []Document{
			{Format: CycloneDX, Bytes: []byte(`{"bomFormat":"CycloneDX","specVersion":"1.6"}`)},
			{Format: SPDX, Bytes: []byte("{\"spdxVersion\":\"SPDX-2.3\",\"name\":\"<a&b>\"}\n")},
		},
		Created: time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC),
		Signer:  testKey(t),
	}
}

func TestAttachMakesThreeReferrers(t *testing.T) {
	r := testRequest(t)
	list, err := Attach(r)
	if err != nil {
		t.Fatal(err)
	}
	types := []string{MediaTypeCycloneDX, MediaTypeSPDX, MediaTypeInToto}
	layers := []string{MediaTypeCycloneDX, MediaTypeSPDX, MediaTypeDSSE}
	if len(list) != len(types) {
		t.Fatalf("%d attachments, want %d", len(list), len(types))
	}
	for i, a := range list {
		var m ocispec.Manifest
		if err := json.Unmarshal(a.Manifest, &m); err != nil {
			t.Fatal(err)
		}
		if m.ArtifactType != types[i] || a.Descriptor.ArtifactType != types[i] || len(m.Layers) != 1 || m.Layers[0].MediaType != layers[i] {
			t.Errorf("attachment %d: artifact type %q, layers %+v", i, m.ArtifactType, m.Layers)
		}
		if m.Config.MediaType != ocispec.MediaTypeEmptyJSON || string(a.Blobs[m.Config.Digest]) != "{}" {
			t.Errorf("attachment %d: config %+v", i, m.Config)
		}
		if m.Subject == nil || m.Subject.Digest != r.Subject.Digest || m.Subject.Size != r.Subject.Size || m.Subject.Annotations != nil {
			t.Errorf("attachment %d: subject %+v", i, m.Subject)
		}
		if got := m.Annotations[ocispec.AnnotationCreated]; got != "2024-05-06T07:08:09Z" {
			t.Errorf("attachment %d: created %q", i, got)
		}
		if a.Descriptor.Digest != store.DigestOf(digest.SHA256, a.Manifest) || a.Descriptor.Size != int64(len(a.Manifest)) {
			t.Errorf("attachment %d: the descriptor is of another manifest", i)
		}
		for d, b := range a.Blobs {
			if store.DigestOf(digest.SHA256, b) != d {
				t.Errorf("attachment %d: blob %s has other content", i, d)
			}
		}
	}
}

func TestAttachIsDeterministic(t *testing.T) {
	one, err := Attach(testRequest(t))
	if err != nil {
		t.Fatal(err)
	}
	two, err := Attach(testRequest(t))
	if err != nil {
		t.Fatal(err)
	}
	for i := range one {
		if !bytes.Equal(one[i].Manifest, two[i].Manifest) {
			t.Errorf("manifest %d differs between two runs", i)
		}
	}
}

// TestAttachSignatureVerifies checks the envelope with the code by which cosign checks attestations against a key.
func TestAttachSignatureVerifies(t *testing.T) {
	r := testRequest(t)
	list, err := Attach(r)
	if err != nil {
		t.Fatal(err)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(list[2].Manifest, &m); err != nil {
		t.Fatal(err)
	}
	if m.Layers[0].Annotations[PredicateAnnotation] != PredicateSPDX {
		t.Errorf("layer annotations %v", m.Layers[0].Annotations)
	}
	raw := list[2].Blobs[m.Layers[0].Digest]
	check := func(raw []byte) error {
		v, err := signature.LoadVerifier(r.Signer.Public(), crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		return sigdsse.WrapVerifier(v).VerifySignature(bytes.NewReader(raw), nil)
	}
	if err := check(raw); err != nil {
		t.Fatalf("cosign's verifier refuses the envelope: %v", err)
	}
	var e struct {
		PayloadType string              `json:"payloadType"`
		Payload     string              `json:"payload"`
		Signatures  []map[string]string `json:"signatures"`
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		t.Fatal(err)
	}
	payload, err := base64.StdEncoding.DecodeString(e.Payload)
	if err != nil {
		t.Fatal(err)
	}
	var s struct {
		statement
		Predicate json.RawMessage `json:"predicate"`
	}
	if err := json.Unmarshal(payload, &s); err != nil {
		t.Fatal(err)
	}
	if s.Type != StatementType || s.PredicateType != PredicateSPDX || len(s.Subject) != 1 || s.Subject[0].Name != "acme/app" ||
		s.Subject[0].Digest["sha256"] != r.Subject.Digest.Encoded() {
		t.Errorf("statement %+v", s)
	}
	if want := strings.TrimSuffix(string(r.Documents[1].Bytes), "\n"); string(s.Predicate) != want {
		t.Errorf("predicate %s, want %s", s.Predicate, want)
	}
	e.Payload = base64.StdEncoding.EncodeToString(bytes.Replace(payload, []byte("acme/app"), []byte("evil/app"), 1))
	forged, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	if check(forged) == nil {
		t.Error("a statement about another repository verifies")
	}
}

func TestAttachRefuses(t *testing.T) {
	for name, change := range map[string]func(*AttachRequest){
		"no documents":   func(r *AttachRequest) { r.Documents = nil },
		"no digest":      func(r *AttachRequest) { r.Subject.Digest = "sha256:xyz" },
		"unknown format": func(r *AttachRequest) { r.Documents[0].Format = "text" },
		"not JSON":       func(r *AttachRequest) { r.Documents = []Document{{SPDX, []byte("SPDX")}} },
		"more than one value, which would end its place in the statement": func(r *AttachRequest) {
			r.Documents = []Document{{SPDX, []byte(`{},"subject":[{"name":"evil/app"}]`)}}
		},
		"a key twice": func(r *AttachRequest) { r.Documents = []Document{{SPDX, []byte(`{"a":1,"a":2}`)}} },
		"too large":   func(r *AttachRequest) { r.Documents[0].Bytes = make([]byte, MaxDocument+1) },
	} {
		r := testRequest(t)
		change(&r)
		if _, err := Attach(r); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestAttachLeavesOutWhatCannotBeRead(t *testing.T) {
	r := testRequest(t)
	big := `{"spdxVersion":"SPDX-2.3","name":"` + strings.Repeat("x", 13<<20) + `"}`
	r.Documents = []Document{{SPDX, []byte(big)}}
	list, err := Attach(r)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].Descriptor.ArtifactType != MediaTypeSPDX {
		t.Errorf("%d attachments; an attestation of more than %d bytes is refused by readers", len(list), MaxAttestation)
	}
	r = testRequest(t)
	r.Signer = nil
	if list, err = Attach(r); err != nil || len(list) != 2 {
		t.Errorf("without a key: %d attachments, %v", len(list), err)
	}
}

func TestParseKeyRefuses(t *testing.T) {
	_, text, err := NewKey(seed(1))
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"nothing":       nil,
		"two blocks":    append(bytes.Clone(text), text...),
		"a certificate": bytes.ReplaceAll(text, []byte("PRIVATE KEY"), []byte("CERTIFICATE")),
		"garbage":       []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
	} {
		if _, err := ParseKey(b); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
