package signer

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// Subject is what is signed.
type Subject struct {
	store.Descriptor
	Reference string // HOST/REPOSITORY, which a simple signature names
}

// Layer is one piece of evidence, ready to be put into a manifest under a reserved tag.
type Layer struct {
	store.Descriptor
	Bytes []byte
}

// Attachment is a manifest with its blobs: these first, then the manifest under Tag, or by digest where Tag is empty.
type Attachment struct {
	Tag       string
	MediaType string
	Manifest  []byte
	Blobs     [][]byte
}

const (
	predicateAnnotation = "predicateType" // cosign's, on DSSE layers
	annotationContent   = "dev.sigstore.bundle.content"
	annotationPredicate = "dev.sigstore.bundle.predicateType"
)

// Sign makes a simple signature: a layer whose payload names the manifest and the repository, with the signature in an annotation.
func (k *Key) Sign(s Subject, annotations map[string]string) (*Layer, error) {
	payload, err := payloadSimpleSigning(s.Reference, s.Digest, annotations)
	if err != nil {
		return nil, err
	}
	sig, err := k.sign(payload)
	if err != nil {
		return nil, err
	}
	return layer(verify.TypeSimpleSigning, payload, map[string]string{verify.AnnotationSignature: base64.StdEncoding.EncodeToString(sig)}), nil
}

// Attest makes a layer with a DSSE envelope around a statement about the manifest. The predicate is JSON of at most 16 MiB less the envelope.
// Errors: CodeInvalid.
func (k *Key) Attest(s Subject, predicateType string, predicate []byte) (*Layer, error) {
	envelope, err := k.attestation(s, predicateType, predicate)
	if err != nil {
		return nil, err
	}
	b, err := marshal(envelope)
	if err != nil {
		return nil, err
	}
	if len(b) > verify.MaxAttestation {
		return nil, tooBig(len(b))
	}
	// cosign wants the annotation of a signature on every layer, and leaves it empty where the envelope holds the signature.
	return layer(verify.TypeDSSE, b, map[string]string{verify.AnnotationSignature: "", predicateAnnotation: predicateType}), nil
}

func tooBig(n int) error {
	return store.Errorf(store.CodeInvalid, "the attestation has %d bytes; registries take at most %d MiB of one", n, verify.MaxAttestation>>20)
}

func (k *Key) attestation(s Subject, predicateType string, predicate []byte) (*dsse, error) {
	if err := store.StrictJSON(predicate); err != nil {
		return nil, store.Errorf(store.CodeInvalid, "the predicate is not JSON that everybody reads alike: %w", err)
	}
	payload, err := statement(s.Reference, s.Digest, predicateType, predicate, nil)
	if err != nil {
		return nil, err
	}
	if _, err := verify.ParseStatement(payload); err != nil { // what registries refuse is not signed
		return nil, store.Errorf(store.CodeInvalid, "the statement would prove nothing: %w", err)
	}
	return k.envelope(payload)
}

func layer(mediaType string, b []byte, annotations map[string]string) *Layer {
	return &Layer{store.Descriptor{MediaType: mediaType, Digest: store.DigestOf(digest.SHA256, b), Size: int64(len(b)), Annotations: annotations}, b}
}

// Tagged puts layers under a reserved tag of the subject, after those that stand there already: earlier is the manifest under the tag, or nil. A layer
// that stands there already, signature and all, is not added twice. Errors: CodeInvalid if what stands there is no evidence, or full.
func Tagged(s Subject, suffix referrers.Suffix, earlier []byte, added *Layer) (*Attachment, error) {
	var layers []store.Descriptor
	if earlier != nil {
		p, err := store.ParseManifest(ocispec.MediaTypeImageManifest, earlier)
		if err != nil {
			return nil, store.Errorf(store.CodeInvalid, "what stands under the tag is no manifest that evidence can be added to: %w", err)
		}
		for _, l := range p.Layers {
			if !(l.Digest == added.Digest && maps.Equal(l.Annotations, added.Annotations)) {
				layers = append(layers, l)
			}
		}
	}
	layers = append(layers, added.Descriptor)
	if len(layers) > verify.MaxLayers {
		return nil, store.Errorf(store.CodeInvalid, "there are %d signatures under the tag and registries read %d; use --form bundle", len(layers)-1, verify.MaxLayers)
	}
	config, err := cosignConfig(layers)
	if err != nil {
		return nil, err
	}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: store.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: store.DigestOf(digest.SHA256, config), Size: int64(len(config))}, Layers: layers}
	b, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return &Attachment{Tag: referrers.TagOf(s.Digest, suffix).String(), MediaType: m.MediaType, Manifest: b, Blobs: [][]byte{config, added.Bytes}}, nil
}

// cosignConfig is an image config of no platform that lists the layers: cosign reads evidence as an image.
func cosignConfig(layers []store.Descriptor) ([]byte, error) {
	ids := make([]store.Digest, len(layers))
	for i, l := range layers {
		ids[i] = l.Digest
	}
	return marshal(map[string]any{"architecture": "", "os": "", "config": map[string]any{}, "rootfs": map[string]any{"type": "layers", "diff_ids": ids}})
}

// SignBundle makes a signature as a Sigstore bundle, a referrer of the manifest: what cosign 3 writes.
func (k *Key) SignBundle(s Subject, annotations map[string]string, now time.Time) (*Attachment, error) {
	payload, err := statement("", s.Digest, verify.PredicateCosignSign, json.RawMessage("{}"), annotations)
	if err != nil {
		return nil, err
	}
	envelope, err := k.envelope(payload)
	if err != nil {
		return nil, err
	}
	return k.referrer(s, envelope, verify.PredicateCosignSign, now)
}

// AttestBundle makes an attestation as a Sigstore bundle.
func (k *Key) AttestBundle(s Subject, predicateType string, predicate []byte, now time.Time) (*Attachment, error) {
	envelope, err := k.attestation(s, predicateType, predicate)
	if err != nil {
		return nil, err
	}
	return k.referrer(s, envelope, predicateType, now)
}

func (k *Key) referrer(s Subject, envelope *dsse, predicateType string, now time.Time) (*Attachment, error) {
	content, err := k.bundle(envelope)
	if err != nil {
		return nil, err
	}
	return Referrer(s, content, predicateType, now)
}

// Referrer makes the referrer of a manifest that holds a Sigstore bundle: one that was signed elsewhere, or earlier. Errors: CodeInvalid.
func Referrer(s Subject, content []byte, predicateType string, now time.Time) (*Attachment, error) {
	if len(content) > verify.MaxAttestation {
		return nil, tooBig(len(content))
	}
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: verify.TypeBundle,
		Config: ocispec.DescriptorEmptyJSON, Layers: []store.Descriptor{layer(verify.TypeBundle, content, nil).Descriptor},
		Subject: &store.Descriptor{MediaType: s.MediaType, Digest: s.Digest, Size: s.Size},
		Annotations: map[string]string{annotationContent: "dsse-envelope", annotationPredicate: predicateType,
			ocispec.AnnotationCreated: now.UTC().Format(time.RFC3339)},
	}
	b, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return &Attachment{MediaType: m.MediaType, Manifest: b, Blobs: [][]byte{[]byte("{}"), content}}, nil
}
