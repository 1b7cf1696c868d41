package verify

import (
	"context"
	"time"

	"github.com/assay-registry/assay/store"
)

// Verifier proves, it never decides. Implementations: verify/sigstore.
type Verifier interface {
	// Verify judges every layer of every evidence under every authority that covers the subject's repository. It is a pure function of its
	// arguments: no network, no clock, no state. "No valid signature" is a Report, not an error: an error means that no answer could be had,
	// and callers refuse. Authorities are passed in because verdicts are recorded with their revisions.
	Verify(ctx context.Context, subject Subject, evidence []Evidence, authorities []Authority) (*Report, error)
}

// Subject is what evidence is about: a manifest in a repository.
type Subject struct {
	Repository store.Name
	Descriptor store.Descriptor
	// Alternate is the same bytes under the other digest algorithm (sha512 of a sha256 manifest, and the reverse), so that a statement which
	// names only that one still binds. It may be empty.
	Alternate store.Digest
}

// Found says where evidence was found.
type Found string

// The places of evidence.md.
const (
	FoundReferrers Found = "referrers"
	FoundTag       Found = "tag"      // under a reserved tag: sha256-<hex>.sig, .att, .sbom
	FoundFallback  Found = "fallback" // listed by a fallback index
)

// Evidence is one evidence manifest with the bytes of its layers, all within limits and already classified by referrers.Classify.
type Evidence struct {
	Manifest      store.Descriptor
	ArtifactType  string
	ConfigType    string
	Found         Found
	InheritedFrom store.Digest // the parent index whose evidence this is; Subject is then the parent
	Layers        []Layer
}

// Layer is one layer: its descriptor with annotations, and its bytes.
type Layer struct {
	store.Descriptor
	Bytes []byte
}

// Scheme names how a fact was signed.
type Scheme string

// The schemes. TUF and notation come with later authorities.
const (
	SchemeCosign Scheme = "cosign" // simple signing
	SchemeBundle Scheme = "bundle" // sigstore bundle
	SchemeDSSE   Scheme = "dsse"   // bare DSSE envelope
	SchemeNone   Scheme = "none"   // unsigned content: an SBOM as such

	SchemeNotation Scheme = "notation" // JWS or COSE of the Notary Project: listed, not yet verified
)

// FactKind separates signatures from attestations: a bundle counts as a signature only with predicate type PredicateCosignSign.
type FactKind string

// The kinds.
const (
	KindSignature   FactKind = "signature"
	KindAttestation FactKind = "attestation"
	KindDocument    FactKind = "document" // unsigned: SBOM formats
)

// PredicateCosignSign is the predicate type of a plain signature in a sigstore bundle.
const PredicateCosignSign = "https://sigstore.dev/cosign/sign/v1"

// Fact is one layer of one evidence manifest, judged under one authority: proven, or refused with a code of the closed set in codes.go.
// A layer yields one proven fact per authority that verified it; one that no authority could verify yields exactly one refused fact,
// with the most telling code (see Code.Tells). Of an unproven fact, KeyID, Authority and ClaimedReference are set only where a trusted
// or revoked key did make the signature; PredicateType is then what the layer claims.
type Fact struct {
	Evidence         store.Digest      `json:"evidence"`
	Layer            store.Digest      `json:"layer"`
	Found            Found             `json:"found"`
	InheritedFrom    store.Digest      `json:"inherited_from,omitempty"`
	Kind             FactKind          `json:"kind"`
	Scheme           Scheme            `json:"scheme"`
	Verified         bool              `json:"verified"`
	Code             Code              `json:"code,omitempty"`    // set unless Verified
	Message          string            `json:"message,omitempty"` // one sentence: what is wrong and what was wanted
	Authority        string            `json:"authority,omitempty"`
	KeyID            string            `json:"key_id,omitempty"` // sha256:<hex> of the key's DER SubjectPublicKeyInfo
	Issuer           string            `json:"issuer,omitempty"`
	Identity         string            `json:"identity,omitempty"`
	PredicateType    string            `json:"predicate_type,omitempty"`
	ClaimedReference string            `json:"claimed_reference,omitempty"` // docker-reference of simple signing
	Annotations      map[string]string `json:"annotations,omitempty"`       // signed ones only
	SignedAt         time.Time         `json:"signed_at,omitzero"`
	ValidFrom        time.Time         `json:"valid_from,omitzero"`  // zero: always; see Fact.At
	ValidUntil       time.Time         `json:"valid_until,omitzero"` // zero: without end; at this instant it no longer counts
	Summary          map[string]any    `json:"summary,omitempty"`    // of a predicate
}

// Report is every fact that was found.
type Report struct {
	Facts []Fact `json:"facts"`
}

// Authority is someone who is trusted for something: a name, keys, and the repositories for which they speak.
type Authority struct {
	Name         string      `json:"name"`
	Kind         string      `json:"kind"` // KindKey; later sigstore, x509, notation, tuf
	Keys         []Key       `json:"keys,omitempty"`
	Repositories store.Globs `json:"repositories"`
	// Binding "repository" (the default) compares docker-reference by repository path; "none" does not.
	Binding     string      `json:"binding,omitempty"`
	PromoteFrom store.Globs `json:"promote_from,omitempty"` // repositories whose name in docker-reference is accepted too
	Origin      string      `json:"origin,omitempty"`       // "config" or "runtime"
}

// Key is a public key in PEM (SubjectPublicKeyInfo), with its window of validity.
type Key struct {
	ID        string    `json:"id"` // KeyID of PEM
	PEM       string    `json:"pem"`
	NotBefore time.Time `json:"not_before,omitzero"`
	NotAfter  time.Time `json:"not_after,omitzero"`
	Revoked   bool      `json:"revoked,omitempty"`
}
