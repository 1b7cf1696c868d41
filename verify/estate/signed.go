package estate

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/opencontainers/go-digest"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

// Signer makes signatures: by a key alone where Certificate is nil.
type Signer struct {
	Certificate *x509.Certificate
	Chain       []*x509.Certificate // from the issuer to the root

	key *key
}

// Key is a signer by a key, which follows from its name.
func (e *Estate) Key(name string) *Signer { return &Signer{key: newKey(e.seed + "/key/" + name)} }

// PublicPEM is the signer's public key (SubjectPublicKeyInfo).
func (s *Signer) PublicPEM() string { return s.key.publicPEM() }

// ID is the key's ID: "sha256:<hex>", as [verify.KeyID].
func (s *Signer) ID() string { return "sha256:" + hex.EncodeToString(s.key.id[:]) }

// PrivatePEM is the signer's private key (PKCS #8, unencrypted).
func (s *Signer) PrivatePEM() string {
	der, err := x509.MarshalPKCS8PrivateKey(s.key.private)
	must(err)
	return pemOf("PRIVATE KEY", der)
}

// CertificatePEM and ChainPEM are as cosign writes them into annotations; empty for a key.
func (s *Signer) CertificatePEM() string {
	if s.Certificate == nil {
		return ""
	}
	return pemOf("CERTIFICATE", s.Certificate.Raw)
}

// ChainPEM are the certificates above the signer's.
func (s *Signer) ChainPEM() string {
	var der [][]byte
	for _, c := range s.Chain {
		der = append(der, c.Raw)
	}
	return pemOf("CERTIFICATE", der...)
}

// verifierPEM is what a log is told: the certificate, or the key.
func (s *Signer) verifierPEM() string {
	if s.Certificate != nil {
		return s.CertificatePEM()
	}
	return s.PublicPEM()
}

// With is what a signature brings along, from whom.
type With struct {
	Logs []*Log
	TSAs []*TSA
	// Entry is the kind of an envelope's log entry: "" for what clients write today, or one of "intoto/0.0.1", "intoto/0.0.2" (version 1), "dsse/0.0.2" (version 2).
	Entry string
}

// Signed is a signature with what it brings along, not yet written down in a form. Tests change it to see what is noticed.
type Signed struct {
	Signer      *Signer
	Payload     []byte // what a simple signature, or an envelope, is about
	PayloadType string // of an envelope; empty: none
	Digest      []byte // SHA-256 that a message signature is over
	Signature   []byte
	Entries     []*protorekor.TransparencyLogEntry
	Timestamps  [][]byte // RFC 3161 responses, DER
	// WithoutPromise and WithoutProof leave out that part of the log entries.
	WithoutPromise, WithoutProof bool
}

// Payload is a simple signing payload as cosign writes it.
func Payload(reference string, d store.Digest) []byte {
	return fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":%q},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":null}`, reference, d)
}

// Statement is an in-toto statement about digests. The predicate is JSON.
func Statement(predicateType, predicate string, digests ...store.Digest) []byte {
	type subject struct {
		Name   string            `json:"name"`
		Digest map[string]string `json:"digest"`
	}
	doc := struct {
		Type          string          `json:"_type"`
		Subject       []subject       `json:"subject"`
		PredicateType string          `json:"predicateType"`
		Predicate     json.RawMessage `json:"predicate"`
	}{Type: "https://in-toto.io/Statement/v1", PredicateType: predicateType, Predicate: json.RawMessage(predicate)}
	for _, d := range digests {
		doc.Subject = append(doc.Subject, subject{"image", map[string]string{string(d.Algorithm()): d.Encoded()}})
	}
	b, err := json.Marshal(doc)
	must(err)
	return b
}

// Simple signs a simple signing payload. What is stamped and logged is the signature of the payload.
func (s *Signer) Simple(payload []byte, w With) *Signed {
	out := &Signed{Signer: s, Payload: payload, Signature: s.key.sign(payload)}
	for _, l := range w.Logs {
		out.Entries = append(out.Entries, l.enter(s, "", payload, nil, out.Signature))
	}
	out.stamp(w.TSAs, out.Signature)
	return out
}

// Attest signs a statement in an envelope, as cosign attest does for a layer of its own: the stamp is of the whole envelope.
func (s *Signer) Attest(statement []byte, w With) *Signed {
	out := s.envelope(verify.TypeInToto, statement, w)
	out.stamp(w.TSAs, out.Envelope())
	return out
}

// Bundled signs a statement in an envelope for a bundle: the stamp is of the signature.
func (s *Signer) Bundled(statement []byte, w With) *Signed {
	return s.BundledAs(verify.TypeInToto, statement, w)
}

// BundledAs is Bundled with a payload of any type.
func (s *Signer) BundledAs(payloadType string, payload []byte, w With) *Signed {
	out := s.envelope(payloadType, payload, w)
	out.stamp(w.TSAs, out.Signature)
	return out
}

// Message signs bytes themselves, for a bundle.
func (s *Signer) Message(artifact []byte, w With) *Signed {
	sum := sha256.Sum256(artifact)
	out := &Signed{Signer: s, Digest: sum[:], Signature: s.key.sign(artifact)}
	for _, l := range w.Logs {
		out.Entries = append(out.Entries, l.enter(s, "", artifact, nil, out.Signature))
	}
	out.stamp(w.TSAs, out.Signature)
	return out
}

func (s *Signer) envelope(payloadType string, payload []byte, w With) *Signed {
	pae := verify.PAE(payloadType, payload)
	out := &Signed{Signer: s, Payload: payload, PayloadType: payloadType, Signature: s.key.sign(pae)}
	for _, l := range w.Logs {
		out.Entries = append(out.Entries, l.enter(s, w.Entry, pae, out.Envelope(), out.Signature))
	}
	return out
}

func (s *Signed) stamp(by []*TSA, what []byte) {
	for _, t := range by {
		s.Timestamps = append(s.Timestamps, t.Timestamp(what))
	}
}

// Envelope is the DSSE envelope as JSON.
func (s *Signed) Envelope() []byte {
	type signature struct {
		KeyID string `json:"keyid"`
		Sig   []byte `json:"sig"`
	}
	b, err := json.Marshal(struct {
		PayloadType string      `json:"payloadType"`
		Payload     []byte      `json:"payload"`
		Signatures  []signature `json:"signatures"`
	}{s.PayloadType, s.Payload, []signature{{Sig: s.Signature}}})
	must(err)
	return b
}

// The annotations of cosign's layers.
const (
	AnnotationChain     = "dev.sigstore.cosign/chain"
	AnnotationBundle    = "dev.sigstore.cosign/bundle"
	AnnotationTimestamp = "dev.sigstore.cosign/rfc3161timestamp"
)

// Layer is a layer of any type, named by its digest.
func Layer(mediaType string, b []byte, annotations map[string]string) verify.Layer {
	return verify.Layer{
		Descriptor: store.Descriptor{MediaType: mediaType, Digest: store.DigestOf(digest.SHA256, b), Size: int64(len(b)), Annotations: annotations}, Bytes: b,
	}
}

// SimpleLayer is the signature as a layer of cosign's tag form. It has room for one log entry and one timestamp: the first.
func (s *Signed) SimpleLayer() verify.Layer {
	a := s.annotations()
	a[verify.AnnotationSignature] = base64.StdEncoding.EncodeToString(s.Signature)
	return Layer(verify.TypeSimpleSigning, s.Payload, a)
}

// DSSELayer is the attestation as a layer of cosign's tag form.
func (s *Signed) DSSELayer() verify.Layer {
	a := s.annotations()
	a[verify.AnnotationSignature] = "" // as cosign writes it: the signature is in the envelope
	var statement struct {
		PredicateType string `json:"predicateType"`
	}
	if json.Unmarshal(s.Payload, &statement) == nil {
		a["predicateType"] = statement.PredicateType
	}
	return Layer(verify.TypeDSSE, s.Envelope(), a)
}

func (s *Signed) annotations() map[string]string {
	a := map[string]string{}
	if s.Signer.Certificate != nil {
		a[verify.AnnotationCertificate], a[AnnotationChain] = s.Signer.CertificatePEM(), s.Signer.ChainPEM()
	}
	if len(s.Entries) > 0 {
		b, err := json.Marshal(struct {
			SignedEntryTimestamp []byte
			Payload              logPayload
		}{s.Entries[0].GetInclusionPromise().GetSignedEntryTimestamp(), payloadOf(s.Entries[0])})
		must(err)
		a[AnnotationBundle] = string(b)
	}
	if len(s.Timestamps) > 0 {
		b, err := json.Marshal(struct{ SignedRFC3161Timestamp []byte }{s.Timestamps[0]})
		must(err)
		a[AnnotationTimestamp] = string(b)
	}
	return a
}

// logPayload is what a promise is over.
type logPayload struct {
	Body           string `json:"body"`
	IntegratedTime int64  `json:"integratedTime"`
	LogIndex       int64  `json:"logIndex"`
	LogID          string `json:"logID"`
}

func payloadOf(e *protorekor.TransparencyLogEntry) logPayload {
	return logPayload{base64.StdEncoding.EncodeToString(e.CanonicalizedBody), e.IntegratedTime, e.LogIndex, hex.EncodeToString(e.LogId.KeyId)}
}

// BundleType is the media type of bundles of a version: "0.1", "0.2" or "0.3".
func BundleType(version string) string {
	if version == "0.3" {
		return verify.TypeBundle
	}
	return "application/vnd.dev.sigstore.bundle+json;version=" + version
}

// Bundle is the signature as a sigstore bundle of the version. Before 0.3 a certificate comes with its chain.
func (s *Signed) Bundle(version string) *protobundle.Bundle {
	material := &protobundle.VerificationMaterial{}
	switch {
	case s.Signer.Certificate == nil:
		material.Content = &protobundle.VerificationMaterial_PublicKey{PublicKey: &protocommon.PublicKeyIdentifier{Hint: base64.StdEncoding.EncodeToString(s.Signer.key.id[:])}}
	case version == "0.3":
		material.Content = &protobundle.VerificationMaterial_Certificate{Certificate: &protocommon.X509Certificate{RawBytes: s.Signer.Certificate.Raw}}
	default:
		chain := &protocommon.X509CertificateChain{Certificates: []*protocommon.X509Certificate{{RawBytes: s.Signer.Certificate.Raw}}}
		for _, c := range s.Signer.Chain[:max(0, len(s.Signer.Chain)-1)] { // without the root, which the verifier has
			chain.Certificates = append(chain.Certificates, &protocommon.X509Certificate{RawBytes: c.Raw})
		}
		material.Content = &protobundle.VerificationMaterial_X509CertificateChain{X509CertificateChain: chain}
	}
	for _, e := range s.Entries {
		entry := &protorekor.TransparencyLogEntry{LogIndex: e.LogIndex, LogId: e.LogId, KindVersion: e.KindVersion, IntegratedTime: e.IntegratedTime,
			InclusionPromise: e.InclusionPromise, InclusionProof: e.InclusionProof, CanonicalizedBody: e.CanonicalizedBody}
		if s.WithoutPromise {
			entry.InclusionPromise = nil
		}
		if s.WithoutProof {
			entry.InclusionProof = nil
		}
		material.TlogEntries = append(material.TlogEntries, entry)
	}
	for _, t := range s.Timestamps {
		if material.TimestampVerificationData == nil {
			material.TimestampVerificationData = &protobundle.TimestampVerificationData{}
		}
		material.TimestampVerificationData.Rfc3161Timestamps = append(material.TimestampVerificationData.Rfc3161Timestamps, &protocommon.RFC3161SignedTimestamp{SignedTimestamp: t})
	}
	b := &protobundle.Bundle{MediaType: BundleType(version), VerificationMaterial: material}
	if s.PayloadType == "" {
		b.Content = &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{Signature: s.Signature,
			MessageDigest: &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_256, Digest: s.Digest}}}
		return b
	}
	b.Content = &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{Payload: s.Payload, PayloadType: s.PayloadType, Signatures: []*protodsse.Signature{{Sig: s.Signature}}}}
	return b
}

// BundleLayer is the bundle as a layer.
func (s *Signed) BundleLayer(version string) verify.Layer {
	b, err := protojson.Marshal(s.Bundle(version))
	must(err)
	return Layer(BundleType(version), b, nil)
}
