package store

// Kind says what a manifest is: it decides which rules apply to it.
type Kind string

// The kinds of semantics.md and policy.input/v1.
const (
	KindImage       Kind = "image"       // an image manifest with an image config, OCI or Docker
	KindIndex       Kind = "index"       // an image index or Docker manifest list
	KindArtifact    Kind = "artifact"    // an image manifest of any other type
	KindAttestation Kind = "attestation" // a BuildKit attestation manifest, child of an index
	KindEvidence    Kind = "evidence"    // bytes about a subject: signature, attestation, SBOM
)
