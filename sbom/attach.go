package sbom

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/store"
)

// Types of the attestation (in-toto attestation framework v1, DSSE v1).
const (
	MediaTypeInToto = "application/vnd.in-toto+json"
	MediaTypeDSSE   = "application/vnd.dsse.envelope.v1+json"
	StatementType   = "https://in-toto.io/Statement/v1"
	PredicateSPDX   = "https://spdx.dev/Document"
	PredicateCDX    = "https://cyclonedx.org/bom"
	// PredicateAnnotation tells the predicate's type on a layer and on its manifest, as cosign writes it.
	PredicateAnnotation = "predicateType"
)

// MaxAttestation is the size of the largest attestation that readers accept: 16 MiB. A document that would exceed it is attached unsigned.
const MaxAttestation = 16 << 20

// AttachRequest says what is attached to what.
type AttachRequest struct {
	Subject    store.Descriptor // the platform manifest; only media type, digest and size are used
	Repository store.Name       // named in the signed part: the statement holds there and nowhere else
	Documents  []Document
	Created    time.Time     // of the subject (Summary.Created): the same image has the same bytes for ever
	Signer     crypto.Signer // the registry's sbom key, see NewKey; nil attaches no attestation
}

// Attachment is one referrer, ready to be stored: blobs first, then the manifest.
type Attachment struct {
	Descriptor store.Descriptor // of the manifest, with its artifact type
	Manifest   []byte
	Blobs      map[store.Digest][]byte
}

// Attach makes the referrers for a subject: one per document, and a signed in-toto statement of the SPDX document (of the CycloneDX document
// where there is no other). Equal requests give equal bytes: Ed25519 signatures are deterministic. None of them is a signature on the image
// in any form that cosign or notation look for.
func Attach(r AttachRequest) ([]Attachment, error) {
	if len(r.Documents) == 0 {
		return nil, errors.New("there is no document to attach")
	}
	if _, err := store.ParseDigest(string(r.Subject.Digest)); err != nil {
		return nil, err
	}
	var out []Attachment
	var signed *Document
	for i := range r.Documents {
		d := &r.Documents[i]
		mediaType, _, err := d.Format.types()
		if err != nil {
			return nil, err
		}
		if len(d.Bytes) > MaxDocument {
			return nil, fmt.Errorf("the document has %d bytes; at most %d are attached", len(d.Bytes), MaxDocument)
		}
		a, err := r.referrer(mediaType, mediaType, d.Bytes, nil)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
		if signed == nil || d.Format == SPDX {
			signed = d
		}
	}
	if r.Signer == nil {
		return out, nil
	}
	_, predicate, err := signed.Format.types()
	if err != nil {
		return nil, err
	}
	envelope, err := r.attest(predicate, signed.Bytes)
	if err != nil {
		return nil, err
	}
	if len(envelope) > MaxAttestation {
		return out, nil
	}
	a, err := r.referrer(MediaTypeInToto, MediaTypeDSSE, envelope, map[string]string{PredicateAnnotation: predicate})
	if err != nil {
		return nil, err
	}
	return append(out, a), nil
}

// Attest makes one referrer: a signed in-toto statement about the subject, of any predicate. The signer's key is Ed25519 or ECDSA on P-256; of both, equal requests
// give equal bytes. No document of the request is attached.
func Attest(r AttachRequest, predicateType string, predicate []byte) (*Attachment, error) {
	if _, err := store.ParseDigest(string(r.Subject.Digest)); err != nil {
		return nil, err
	}
	envelope, err := r.attest(predicateType, predicate)
	if err != nil {
		return nil, err
	}
	if len(envelope) > MaxAttestation {
		return nil, fmt.Errorf("the statement has %d bytes; readers accept %d", len(envelope), MaxAttestation)
	}
	a, err := r.referrer(MediaTypeInToto, MediaTypeDSSE, envelope, map[string]string{PredicateAnnotation: predicateType})
	return &a, err
}

// types are the media type of a document and the predicate type of a statement about it.
func (f Format) types() (mediaType, predicate string, err error) {
	switch f {
	case SPDX:
		return MediaTypeSPDX, PredicateSPDX, nil
	case CycloneDX:
		return MediaTypeCycloneDX, PredicateCDX, nil
	}
	return "", "", fmt.Errorf("the format %.40q cannot be attached", f)
}

// referrer makes a manifest with one layer and an empty config (image-spec 1.1, manifest.md "Guidelines for Artifact Usage").
func (r AttachRequest) referrer(artifactType, layerType string, content []byte, annotations map[string]string) (Attachment, error) {
	layer := store.Descriptor{MediaType: layerType, Digest: store.DigestOf(digest.SHA256, content), Size: int64(len(content)), Annotations: annotations}
	all := map[string]string{ocispec.AnnotationCreated: r.Created.UTC().Format(time.RFC3339)}
	for k, v := range annotations {
		all[k] = v
	}
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifactType,
		Config: ocispec.DescriptorEmptyJSON, Layers: []store.Descriptor{layer},
		Subject:     &store.Descriptor{MediaType: r.Subject.MediaType, Digest: r.Subject.Digest, Size: r.Subject.Size},
		Annotations: all,
	}
	b, err := json.Marshal(m)
	if err != nil {
		return Attachment{}, err
	}
	return Attachment{
		Descriptor: store.Descriptor{
			MediaType: m.MediaType, Digest: store.DigestOf(digest.SHA256, b), Size: int64(len(b)), ArtifactType: artifactType, Annotations: all,
		},
		Manifest: b,
		Blobs:    map[store.Digest][]byte{layer.Digest: content, ocispec.DescriptorEmptyJSON.Digest: []byte("{}")},
	}, nil
}

// statement is an in-toto statement (attestation framework v1, spec/v1/statement.md) up to its predicate, which comes last.
type statement struct {
	Type          string             `json:"_type"`
	Subject       []statementSubject `json:"subject"`
	PredicateType string             `json:"predicateType"`
}

type statementSubject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

// attest makes a signed envelope around a statement about the subject.
func (r AttachRequest) attest(predicateType string, predicate []byte) ([]byte, error) {
	head, err := marshal(statement{
		Type: StatementType,
		Subject: []statementSubject{{
			Name: string(r.Repository), Digest: map[string]string{string(r.Subject.Digest.Algorithm()): r.Subject.Digest.Encoded()},
		}},
		PredicateType: predicateType,
	})
	if err != nil {
		return nil, fmt.Errorf("the statement could not be written: %w", err)
	}
	// The predicate is megabytes: it is checked once, so that it cannot end its place in the statement, and then copied as it is.
	predicate = bytes.TrimSpace(predicate)
	if err := store.StrictJSON(predicate); err != nil {
		return nil, fmt.Errorf("the document is not JSON: %w", err)
	}
	head = append(bytes.TrimSuffix(head, []byte("}")), `,"predicate":`...)
	signed := preAuth(MediaTypeInToto, len(head)+len(predicate)+1)
	before := len(signed)
	signed = append(append(append(signed, head...), predicate...), '}')
	signature, err := sign(r.Signer, signed)
	if err != nil {
		return nil, fmt.Errorf("the statement could not be signed: %w", err)
	}
	return seal(signed[before:], signature), nil
}

// seal writes the envelope (dsse, envelope.md). The key's name is empty, as cosign writes it: verifiers compare names in a form of their own and skip what differs.
func seal(payload, signature []byte) []byte {
	const before, between, after = `{"payloadType":"` + MediaTypeInToto + `","payload":"`, `","signatures":[{"keyid":"","sig":"`, `"}]}`
	b := make([]byte, 0, len(before)+len(between)+len(after)+base64.StdEncoding.EncodedLen(len(payload))+base64.StdEncoding.EncodedLen(len(signature)))
	b = base64.StdEncoding.AppendEncode(append(b, before...), payload)
	b = base64.StdEncoding.AppendEncode(append(b, between...), signature)
	return append(b, after...)
}

// sign is deterministic: without randomness ECDSA is that of RFC 6979.
func sign(key crypto.Signer, message []byte) ([]byte, error) {
	switch public := key.Public().(type) {
	case ed25519.PublicKey:
		return key.Sign(nil, message, crypto.Hash(0))
	case *ecdsa.PublicKey:
		if public.Curve == elliptic.P256() {
			sum := sha256.Sum256(message)
			return key.Sign(nil, sum[:], crypto.SHA256)
		}
	}
	return nil, errors.New("statements are signed with Ed25519 keys, or with ECDSA keys on P-256, only")
}

// preAuth is what a DSSE signature covers (dsse, protocol.md "PAE") before a payload of n bytes, with room for it.
func preAuth(payloadType string, n int) []byte {
	return fmt.Appendf(make([]byte, 0, n+128), "DSSEv1 %d %s %d ", len(payloadType), payloadType, n)
}

// marshal writes compact JSON without escaping what HTML would need, and without a line end.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
