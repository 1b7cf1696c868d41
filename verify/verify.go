package verify

import (
	"context"
	"time"

	"github.com/assay-registry/assay/store"
)

// Verifier proves, it never decides. Implementations: verify/sigstore and verify/notation; [Join] makes one of several.
type Verifier interface {
	// Check reports whether the material of an authority can be used: roots that parse, certificates within limits, patterns that compile. An
	// authority of a kind that the verifier does not serve is not its business: nil. It is asked before an authority is put into force, after
	// Authority.Validate. Errors: CodeInvalid, one sentence that names the authority.
	Check(a Authority) error

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
	FoundIndex     Found = "index"    // inside the index, as BuildKit attaches it
	FoundTUF       Found = "tuf"      // a target of a TUF repository names the manifest
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

// The schemes.
const (
	SchemeCosign Scheme = "cosign" // simple signing
	SchemeBundle Scheme = "bundle" // sigstore bundle
	SchemeDSSE   Scheme = "dsse"   // bare DSSE envelope
	SchemeNone   Scheme = "none"   // unsigned content: an SBOM as such

	SchemeNotation Scheme = "notation" // JWS or COSE of the Notary Project
	SchemeTUF      Scheme = "tuf"      // a TUF target names the manifest
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
// with the most telling code (see Code.Tells). Of an unproven fact, Authority, ClaimedReference and who signed (KeyID; with a certificate, also Issuer, Identity, Serial and Extensions) are
// set only where a trusted or revoked key did make the signature, or a certificate that leads to a root of the authority; PredicateType is then what the layer claims.
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
	KeyID            string            `json:"key_id,omitempty"`     // sha256:<hex> of the DER SubjectPublicKeyInfo of the key, or of the certificate's
	Issuer           string            `json:"issuer,omitempty"`     // OIDC issuer of a Fulcio certificate; else the certificate issuer's name
	Identity         string            `json:"identity,omitempty"`   // subject alternative name of a certificate, or its subject (RFC 4514) where it has none
	Extensions       map[string]string `json:"extensions,omitempty"` // of a Fulcio certificate, by the names in [Extensions]
	Serial           string            `json:"serial,omitempty"`     // of the certificate: lower-case hex without leading zeros
	Logs             []LogEntry        `json:"logs,omitempty"`       // entries of transparency logs that were proven, at most one per log
	TimeSource       TimeSource        `json:"time_source,omitempty"`
	PredicateType    string            `json:"predicate_type,omitempty"`
	Signed           store.Digest      `json:"signed,omitempty"`            // of a proven one: what the signature is over, however it is wrapped; copies have the same
	ClaimedReference string            `json:"claimed_reference,omitempty"` // docker-reference of simple signing
	Annotations      map[string]string `json:"annotations,omitempty"`       // signed ones only
	SignedAt         time.Time         `json:"signed_at,omitzero"`
	ValidFrom        time.Time         `json:"valid_from,omitzero"`  // zero: always; see Fact.At
	ValidUntil       time.Time         `json:"valid_until,omitzero"` // zero: without end; at this instant it no longer counts
	Ends             Code              `json:"ends,omitempty"`       // what ends at ValidUntil: the refusal from then on; empty is the key's, CodeKeyExpired
	Summary          map[string]any    `json:"summary,omitempty"`    // of a predicate
	MediaType        string            `json:"media_type,omitempty"` // of the layer; kind document only
	Target           string            `json:"target,omitempty"`     // scheme tuf: the target's name
	Role             string            `json:"role,omitempty"`       // scheme tuf: the role that signed it
	// Scope is, of a predicate that says several things (CycloneDX: what is in it, what of its vulnerabilities matters), the one that the authority is trusted for; empty is all.
	Scope string `json:"scope,omitempty"`
}

// TimeSource says where SignedAt comes from.
type TimeSource string

// The sources of time.
const (
	TimeRekor TimeSource = "rekor" // the integrated time of a log entry
	TimeTSA   TimeSource = "tsa"   // an RFC 3161 timestamp
	TimeNone  TimeSource = "none"  // nobody who is trusted says when
)

// LogEntry is a proven entry of a transparency log.
type LogEntry struct {
	Log   string    `json:"log"`   // lower-case hex of the log's ID
	Index int64     `json:"index"` // within the log
	At    time.Time `json:"at,omitzero"`
}

// Report is every fact that was found.
type Report struct {
	Facts []Fact `json:"facts"`
}

// Authority is someone who is trusted for something: a name, what they are known by, and the repositories for which they speak.
type Authority struct {
	Name string `json:"name"`
	Kind string `json:"kind"` // one of [Kinds]
	Keys []Key  `json:"keys,omitempty"`

	// TrustedRoot is a Sigstore trusted root (protobuf-specs, sigstore_trustroot.proto) as JSON: kind sigstore, and kind key where its profile asks for logs or timestamps.
	TrustedRoot string `json:"trusted_root,omitempty"`
	// Roots are certificates in PEM: for kind x509 roots, and intermediates, which are those that did not sign themselves; for kind notation the trust store.
	Roots string `json:"roots,omitempty"`
	// TimestampRoots are certificates in PEM of the timestamping authorities (RFC 3161), roots and intermediates.
	TimestampRoots string `json:"timestamp_roots,omitempty"`
	// CRLs are revocation lists in PEM ("X509 CRL"), for kinds x509 and notation. Nothing is ever fetched.
	CRLs       string     `json:"crls,omitempty"`
	Identities []Identity `json:"identities,omitempty"`
	// Profile is what a signature must bring along; nil is the kind's default, see [Authority.Wants].
	Profile *Profile `json:"profile,omitempty"`
	Revoked Revoked  `json:"revoked,omitzero"`

	// Material names the authority of kind tuf whose targets trust/<name>/ are the keys or the trusted root of this one.
	Material string `json:"material,omitempty"`
	TUF      *TUF   `json:"tuf,omitempty"` // kind tuf

	Repositories store.Globs `json:"repositories"`
	// Binding "repository" (the default) compares docker-reference by repository path; "none" does not.
	Binding     string      `json:"binding,omitempty"`
	PromoteFrom store.Globs `json:"promote_from,omitempty"` // repositories whose name in docker-reference is accepted too
	// Attests is what it is trusted for: names of [Attestable], and types of predicates, exact or with * and **. Empty is [DefaultAttests].
	Attests []string `json:"attests,omitempty"`
	Origin  string   `json:"origin,omitempty"` // "config" or "runtime"
}

// Identity is who may have signed. Each given pattern must match: text with * or ** is a glob over components between slashes (** any number of
// them, * within one), other text is compared exactly, and a Regexp is RE2 that must match the whole. Kind sigstore needs an issuer and a subject.
// For kinds x509 and notation there is no issuer, and a Subject of the form "CN=release,O=Acme" matches a certificate whose
// subject has all these attributes.
type Identity struct {
	Issuer        string `json:"issuer,omitempty"`
	IssuerRegexp  string `json:"issuer_regexp,omitempty"`
	Subject       string `json:"subject,omitempty"`
	SubjectRegexp string `json:"subject_regexp,omitempty"`
}

// Profile is what a signature must bring along, each from a different log or authority: entries of transparency logs, trusted times (log entries with a time, RFC 3161
// timestamps), and certificate timestamps (SCT, RFC 6962).
type Profile struct {
	Tlog       int `json:"tlog"`
	Timestamps int `json:"timestamps"`
	SCT        int `json:"sct"`
}

// Revoked lists what counts no more, whatever it signed: each member is exact.
type Revoked struct {
	Keys       []string `json:"keys,omitempty"`        // key IDs
	Serials    []string `json:"serials,omitempty"`     // certificates, as Fact.Serial
	Identities []string `json:"identities,omitempty"`  // as Fact.Identity
	LogIndexes []int64  `json:"log_indexes,omitempty"` // entries, in whichever log
}

// TUF is where an authority of kind tuf comes from.
type TUF struct {
	Root    string        `json:"root"`    // the first trusted root.json, as text
	Source  string        `json:"source"`  // https://..., dir:PATH, tar:PATH or oci:REPOSITORY in this registry
	Refresh time.Duration `json:"refresh"` // how often the source is asked
	// Expired says what follows when the metadata ran out: "refuse" (the default) or "warn".
	Expired string `json:"expired,omitempty"`
}

// Key is a public key in PEM (SubjectPublicKeyInfo), with its window of validity.
type Key struct {
	ID        string    `json:"id"` // KeyID of PEM
	PEM       string    `json:"pem"`
	NotBefore time.Time `json:"not_before,omitzero"`
	NotAfter  time.Time `json:"not_after,omitzero"`
	Revoked   bool      `json:"revoked,omitempty"`
}
