package verify

import "strings"

// The media types of evidence layers that carry a signature, and the annotations of such layers, as cosign writes them.
const (
	TypeSimpleSigning = "application/vnd.dev.cosign.simplesigning.v1+json"
	TypeDSSE          = "application/vnd.dsse.envelope.v1+json"
	TypeInToto        = "application/vnd.in-toto+json" // DSSE payload type; as a layer: a statement that nobody signed
	TypeBundle        = "application/vnd.dev.sigstore.bundle.v0.3+json"

	AnnotationSignature   = "dev.cosignproject.cosign/signature"
	AnnotationCertificate = "dev.sigstore.cosign/certificate"      // the leaf, PEM
	AnnotationChain       = "dev.sigstore.cosign/chain"            // what issued it, PEM
	AnnotationRekor       = "dev.sigstore.cosign/bundle"           // JSON: a log entry with its promise (SET)
	AnnotationTimestamp   = "dev.sigstore.cosign/rfc3161timestamp" // JSON: a response of a timestamping authority
)

// SchemeOf tells from a layer's media type how it would be signed, what kind of fact it makes and how many bytes it may have.
// A bundle may turn out to be a signature: its predicate type says so.
func SchemeOf(mediaType string) (Scheme, FactKind, int) {
	switch {
	case mediaType == TypeSimpleSigning:
		return SchemeCosign, KindSignature, MaxPayload
	case mediaType == TypeDSSE:
		return SchemeDSSE, KindAttestation, MaxAttestation
	case strings.HasPrefix(mediaType, "application/vnd.dev.sigstore.bundle"):
		return SchemeBundle, KindAttestation, MaxAttestation
	case mediaType == "application/jose+json", mediaType == "application/cose":
		return SchemeNotation, KindSignature, MaxPayload
	case mediaType == TypeInToto:
		return SchemeNone, KindAttestation, MaxAttestation
	}
	return SchemeNone, KindDocument, MaxDocument
}
