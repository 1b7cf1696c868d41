package contract

import (
	"context"
	"encoding/json"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// Entry is an entry point of a policy.
type Entry string

// The entry points: semantics.md says what each may read.
const (
	EntryPush  Entry = "push"
	EntryAdmit Entry = "admit"
	EntryTag   Entry = "tag"
	EntryK8s   Entry = "k8s" // a cluster asks about an image that a pull would get, or that lies in another registry
)

// Input is the document policy.input/v1: everything that a policy may know. Optional parts are absent, never null.
type Input struct {
	Schema       string             `json:"schema"` // "policy.input/v1"
	Request      RequestInput       `json:"request"`
	Actor        *ActorInput        `json:"actor,omitempty"` // push; at k8s whoever pulls
	Subject      SubjectInput       `json:"subject"`
	Manifest     *ManifestInput     `json:"manifest,omitempty"`
	Index        *IndexInput        `json:"index,omitempty"`
	Config       *ConfigInput       `json:"config,omitempty"`
	Signatures   []SignatureInput   `json:"signatures"`
	Attestations []AttestationInput `json:"attestations"`
	SBOM         *SBOMInput         `json:"sbom,omitempty"`
	TUF          *TUFInput          `json:"tuf,omitempty"` // tag only
	// Vulnerabilities is absent at the entry point push.
	Vulnerabilities *VulnerabilitiesInput `json:"vulnerabilities,omitempty"`
	Referrers       *ReferrersInput       `json:"referrers,omitempty"`
	Tags            *TagsInput            `json:"tags,omitempty"`
	K8s             *K8sInput             `json:"k8s,omitempty"`     // k8s only
	Waivers         []WaiverInput         `json:"waivers,omitempty"` // those that cover the subject and count now

	// Content opens the evidence that is listed above, for policies that read whole predicates. It is no part of the document; nil where a document is all there is.
	Content Content `json:"-"`
	// Packages answers what the image contains, for the built-in assay.packages. It is no part of the document; nil where no index is at hand.
	Packages Packages `json:"-"`
}

// Packages answers from an index of SBOMs what images contain. It is asked while a decision is made, from another goroutine than the caller's, and may be asked when that decision
// was given up: it reads a snapshot of its own.
type Packages interface {
	// FindPackages lists what of one image matches, ordered by package URL, at most limit, and whether there is more. Errors: CodeNotFound where nothing is indexed of the
	// image, CodeInvalid for a query that is none (a sentence), CodeUnavailable.
	FindPackages(ctx context.Context, repo store.Name, d store.Digest, q PackageQuery, limit int) (found []Package, more bool, err error)
	// LocatePackages says where packages of an image are, by their URLs as FindPackages has them; what the SBOM does not say is left out. It reads the SBOM: milliseconds for each
	// megabyte. Errors: CodeUnavailable.
	LocatePackages(ctx context.Context, repo store.Name, d store.Digest, purls []string) (map[string]Place, error)
}

// Place is where a package is in an image.
type Place struct {
	Path  string       // of the file by which it is evident
	Layer store.Digest // that has the file
}

// PackageQuery says which packages are wanted: all that is not empty must match.
type PackageQuery struct {
	PURL    string // a glob over the package URL without version, qualifiers and subpath: '*' within a component, '**' across
	Range   string // of versions: "<2.17.1", or VERS
	License string // an SPDX identifier
	// Unsigned lets a document answer that anybody may have attached, where there is no other. It lists what its author wants found.
	Unsigned bool
}

// Package is one package of an image.
type Package struct {
	PURL     string   // with its version
	Licenses []string // SPDX identifiers or expressions, as the SBOM has them
}

// Content gives the bytes of a stored layer of evidence.
type Content interface {
	// ReadContent reads a blob of at most limit bytes. Errors: CodeBlobUnknown, CodeSizeInvalid, CodeUnavailable.
	ReadContent(ctx context.Context, d store.Digest, limit int64) ([]byte, error)
}

// InputSchema is the version of the document.
const InputSchema = "policy.input/v1"

// RequestInput is how the question came up.
type RequestInput struct {
	ID       string    `json:"id"`
	Entry    Entry     `json:"entry"`
	Replay   bool      `json:"replay,omitempty"`
	Time     time.Time `json:"time"`
	Protocol string    `json:"protocol"` // oci, api; of a cluster k8s.validating, k8s.mutating, gatekeeper, imagepolicy
	DryRun   bool      `json:"dry_run,omitempty"`
}

// ActorInput is who pushes; at the entry point k8s it is whoever pulls, without a name.
type ActorInput struct {
	Kind  access.Kind `json:"kind"`
	Name  string      `json:"name"`
	Roles []string    `json:"roles"`
}

// SubjectInput is the manifest in question. Of an image of another registry (entry point k8s) it has the repository, as host/path, tag, digest where the image
// names one, and the state [StateUnknown]; the rest is empty.
type SubjectInput struct {
	Repository   store.Name     `json:"repository"`
	Tag          string         `json:"tag,omitempty"` // push, tag and k8s only
	Digest       store.Digest   `json:"digest"`
	MediaType    string         `json:"media_type"`
	ArtifactType string         `json:"artifact_type,omitempty"`
	Size         int64          `json:"size"`
	Kind         store.Kind     `json:"kind"`
	Platform     *Platform      `json:"platform,omitempty"`
	Parents      []store.Digest `json:"parents,omitempty"`
	State        store.State    `json:"state"`
	FirstSeen    time.Time      `json:"first_seen,omitzero"`
	Pushers      []string       `json:"pushers,omitempty"`
}

// Platform is an OCI platform.
type Platform struct {
	OS           string `json:"os,omitempty"`
	Architecture string `json:"architecture,omitempty"`
	Variant      string `json:"variant,omitempty"`
}

// DescriptorInput is the part of a descriptor that policies read.
type DescriptorInput struct {
	MediaType string       `json:"media_type"`
	Digest    store.Digest `json:"digest"`
	Size      int64        `json:"size"`
}

// ManifestInput is the manifest's own content.
type ManifestInput struct {
	Layers      []DescriptorInput `json:"layers"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Config      *DescriptorInput  `json:"config,omitempty"`
}

// IndexInput lists an index's children.
type IndexInput struct {
	Manifests []IndexEntryInput `json:"manifests"`
}

// IndexEntryInput is one child. State is empty where the child is absent.
type IndexEntryInput struct {
	Digest   store.Digest `json:"digest"`
	Platform *Platform    `json:"platform,omitempty"`
	State    store.State  `json:"state,omitempty"`
}

// ConfigInput is the part of an image config that policies read. Values of the environment never enter.
type ConfigInput struct {
	Created      string            `json:"created,omitempty"`
	User         string            `json:"user"`
	Entrypoint   []string          `json:"entrypoint,omitempty"`
	Cmd          []string          `json:"cmd,omitempty"`
	EnvNames     []string          `json:"env_names,omitempty"`
	Labels       map[string]string `json:"labels,omitempty"`
	ExposedPorts []string          `json:"exposed_ports,omitempty"`
	Base         *BaseInput        `json:"base,omitempty"`
}

// BaseInput is the base image that the annotations org.opencontainers.image.base.* claim.
type BaseInput struct {
	Name   string       `json:"name,omitempty"`
	Digest store.Digest `json:"digest,omitempty"`
}

// SignatureInput is a fact of kind signature: see [verify.Fact], whose fields these are.
type SignatureInput struct {
	Evidence         store.Digest      `json:"evidence"`
	Layer            store.Digest      `json:"layer,omitempty"`
	Scheme           verify.Scheme     `json:"scheme"`
	Found            verify.Found      `json:"found"`
	InheritedFrom    store.Digest      `json:"inherited_from,omitempty"`
	Verified         bool              `json:"verified"`
	Code             verify.Code       `json:"code,omitempty"`
	Authority        string            `json:"authority,omitempty"`
	KeyID            string            `json:"key_id,omitempty"`
	Signer           string            `json:"signer,omitempty"` // see [verify.Signers]
	Issuer           string            `json:"issuer,omitempty"`
	Identity         string            `json:"identity,omitempty"`
	Extensions       map[string]string `json:"extensions,omitempty"` // of a Fulcio certificate
	Serial           string            `json:"serial,omitempty"`
	Annotations      map[string]string `json:"annotations,omitempty"`
	ClaimedReference string            `json:"claimed_reference,omitempty"`
	Logs             []verify.LogEntry `json:"logs,omitempty"`
	TimeSource       verify.TimeSource `json:"time_source,omitempty"`
	SignedAt         time.Time         `json:"signed_at,omitzero"`
	ValidUntil       time.Time         `json:"valid_until,omitzero"`
	Target           string            `json:"target,omitempty"` // scheme tuf: the name of the target that is this manifest
	Role             string            `json:"role,omitempty"`   // scheme tuf: who signed it
}

// AttestationInput is a fact of kind attestation: see [verify.Fact], whose fields these are.
type AttestationInput struct {
	Evidence      store.Digest      `json:"evidence"`
	Layer         store.Digest      `json:"layer,omitempty"`
	Scheme        verify.Scheme     `json:"scheme,omitempty"`
	Found         verify.Found      `json:"found,omitempty"`
	InheritedFrom store.Digest      `json:"inherited_from,omitempty"`
	PredicateType string            `json:"predicate_type"`
	Verified      bool              `json:"verified"`
	Code          verify.Code       `json:"code,omitempty"`
	Authority     string            `json:"authority,omitempty"`
	KeyID         string            `json:"key_id,omitempty"`
	Signer        string            `json:"signer,omitempty"` // see [verify.Signers]
	Issuer        string            `json:"issuer,omitempty"`
	Identity      string            `json:"identity,omitempty"`
	Extensions    map[string]string `json:"extensions,omitempty"` // of a Fulcio certificate
	Serial        string            `json:"serial,omitempty"`
	Logs          []verify.LogEntry `json:"logs,omitempty"`
	TimeSource    verify.TimeSource `json:"time_source,omitempty"`
	SignedAt      time.Time         `json:"signed_at,omitzero"`
	ValidUntil    time.Time         `json:"valid_until,omitzero"`
	Summary       map[string]any    `json:"summary,omitempty"` // see [verify.Statement.Summary]
	// CoveredBy names the authorities whose verified signature on the index that holds the attestation covers its bytes. It says that they signed an index with
	// these bytes in it, not that they state what the bytes say.
	CoveredBy []string `json:"covered_by,omitempty"`
}

// TUFInput is what the TUF authorities say of the tag in question: entry point tag only. It is absent where none pins the tag. What they say of a digest
// under any tag are facts of scheme tuf among the signatures.
type TUFInput struct {
	Authority   string      `json:"authority"`
	Role        string      `json:"role"`                 // that signed the target
	Target      string      `json:"target"`               // <repository>/<tag>
	DigestMatch bool        `json:"digest_match"`         // the target is this manifest, by digest and length
	Version     int64       `json:"version"`              // of the role's metadata
	Code        verify.Code `json:"code,omitempty"`       // tuf.expired where the metadata ran out, so that it proves nothing
	ValidUntil  time.Time   `json:"valid_until,omitzero"` // when the metadata runs out, where that ends what it says
}

// SBOMInput is what is known of the contents.
type SBOMInput struct {
	Present   bool           `json:"present"`
	Origin    string         `json:"origin,omitempty"`  // attested, attached, generated
	Origins   []string       `json:"origins,omitempty"` // of all that there are; Origin is that of the best, which the other fields describe
	Verified  bool           `json:"verified"`
	Digest    store.Digest   `json:"digest,omitempty"`
	Format    string         `json:"format,omitempty"`
	Generator string         `json:"generator,omitempty"`
	Created   time.Time      `json:"created,omitzero"`
	Distro    *DistroInput   `json:"distro,omitempty"`
	Packages  *PackagesInput `json:"packages,omitempty"`
	DiffIDs   string         `json:"diff_ids,omitempty"` // match, mismatch, unknown
	Failed    string         `json:"failed,omitempty"`   // why generation failed for good
	Drift     *DriftInput    `json:"drift,omitempty"`    // absent until both a declared SBOM and a generated one are there and were compared
}

// DriftInput is how what a client's SBOM declares differs from what the registry found. Packages are compared by name and version.
type DriftInput struct {
	Declared      string   `json:"declared"`                 // the origin of the declared one: attested, attached
	Absent        int      `json:"absent"`                   // packages that are declared and were not found
	Undeclared    int      `json:"undeclared"`               // packages that were found and are not declared
	AbsentTop     []string `json:"absent_top,omitempty"`     // the first of them, as package URLs: at most 5
	UndeclaredTop []string `json:"undeclared_top,omitempty"` // the same
}

// DistroInput is the distribution inside an image.
type DistroInput struct {
	ID      string `json:"id"`
	Version string `json:"version,omitempty"`
}

// PackagesInput summarises the packages: the list itself never enters the input.
type PackagesInput struct {
	Count      int          `json:"count"`
	ByType     store.Counts `json:"by_type,omitempty"`
	ByLicense  store.Counts `json:"by_license,omitempty"` // by SPDX expression, as the SBOM has it: of "MIT OR GPL-2.0-only" either will do
	Unlicensed int          `json:"unlicensed"`           // packages of which no licence is known
}

// ReferrersInput is what refers to the manifest in this repository, whoever put it there: being listed proves nothing. The registry's own statements are not among it, nor what is revoked or
// expired. Gathered only where a policy reads it.
type ReferrersInput struct {
	Count          int             `json:"count"` // of those that are listed
	ByArtifactType map[string]int  `json:"by_artifact_type,omitempty"`
	List           []ReferrerInput `json:"list"`           // ordered by digest, at most MaxReferrers
	More           bool            `json:"more,omitempty"` // there are others
}

// ReferrerInput is one of them.
type ReferrerInput struct {
	Digest       store.Digest `json:"digest"`
	MediaType    string       `json:"media_type"`
	ArtifactType string       `json:"artifact_type,omitempty"`
	Size         int64        `json:"size"`
	Evidence     bool         `json:"evidence,omitempty"` // its bytes are evidence: anything else is judged as content
}

// TagsInput is what tags say: entry points push, tag and k8s only.
type TagsInput struct {
	Current        []string     `json:"current,omitempty"`
	Visible        []string     `json:"visible,omitempty"`
	AdmittedIn     []store.Name `json:"admitted_in,omitempty"`     // push only: other repositories in which the digest is admitted now, at most 100
	PreviousDigest store.Digest `json:"previous_digest,omitempty"` // the tag's visible digest until now; of a deleted tag its last, until an administrator frees the name
	Immutable      bool         `json:"immutable,omitempty"`
	// History is where the tag was moved to, the newest first, at most MaxTagHistory: at the entry point push without the move that it is about. Present, if empty, where a policy reads it.
	History []TagMoveInput `json:"history,omitzero"`
}

// TagMoveInput is a digest that a tag was moved to.
type TagMoveInput struct {
	Digest store.Digest `json:"digest"`
	At     time.Time    `json:"at"`
	By     string       `json:"by,omitempty"` // who pushed it, where that is known
}

// K8sInput is what a cluster says of the place in which it would run the image. Gatekeeper, and the verify API, say the image alone.
type K8sInput struct {
	Operation string `json:"operation,omitempty"` // CREATE, UPDATE
	Kind      string `json:"kind,omitempty"`      // of the object: Pod, Deployment, ...
	Namespace string `json:"namespace,omitempty"`
	// NamespaceLabels are those that the webhook's namespaceSelector demands, told by its path: the namespace has them, and may have more. Absent where the path tells none.
	NamespaceLabels map[string]string `json:"namespace_labels,omitempty"`

	Name          string `json:"name,omitempty"` // of the object; absent where the cluster generates it
	User          string `json:"user,omitempty"` // who asks the cluster
	Container     string `json:"container,omitempty"`
	ContainerKind string `json:"container_kind,omitempty"` // container, init, ephemeral, volume
	Image         string `json:"image"`                    // as the object names it
	Registry      string `json:"registry"`                 // its host, in lower case
}

// JSON renders the input as the engine sees it.
func (in *Input) JSON() ([]byte, error) { return json.Marshal(in) }
