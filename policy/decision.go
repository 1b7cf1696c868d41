package policy

import (
	"context"
	"time"

	"github.com/assay-registry/assay/store"
)

// StateUnknown is the state of an image of another registry: nothing is kept about it, and only the entry point k8s meets it.
const StateUnknown store.State = "unknown"

// Mode is how a policy takes effect.
type Mode string

// The modes: warn admits with a Warning; shadow is recorded and has no effect.
const (
	ModeEnforce Mode = "enforce"
	ModeWarn    Mode = "warn"
	ModeShadow  Mode = "shadow"
)

// Reason is one denial or warning of a policy.
type Reason struct {
	Code     string         `json:"code"` // of the catalogue: signature.missing, tag.mutable, ...
	Message  string         `json:"msg"`
	Subject  store.Digest   `json:"subject,omitempty"`
	Evidence []store.Digest `json:"evidence,omitempty"`
	Remedy   string         `json:"remedy,omitempty"`
	// EffectiveOn in the future turns a denial into a warning.
	EffectiveOn time.Time `json:"effective_on,omitzero"`
	Policy      string    `json:"policy"` // the binding's name
}

// Obligation is work that a policy asks for.
type Obligation struct {
	Type string `json:"type"` // generate_sbom, emit_vsa, notify
}

// What a policy may ask for: a generated SBOM, a signed summary of the verdict once the image is admitted, an event to whoever is configured to be told.
const (
	ObligationSBOM   = "generate_sbom"
	ObligationVSA    = "emit_vsa"
	ObligationNotify = "notify"
)

// Obligations are the types that there are.
func Obligations() []string { return []string{ObligationSBOM, ObligationVSA, ObligationNotify} }

// Decision is the document policy.result/v1. Allow is derived: no denial is left in a policy of mode enforce.
type Decision struct {
	ID          string       `json:"decision_id,omitempty"`
	Entry       Entry        `json:"entry"`
	Allow       bool         `json:"allow"`
	Deny        []Reason     `json:"deny,omitempty"`   // enforced
	Warn        []Reason     `json:"warn,omitempty"`   // of policies' warn rules, of mode warn, of effective_on in the future
	Shadow      []Reason     `json:"shadow,omitempty"` // of mode shadow
	Waived      []Waived     `json:"waived,omitempty"` // denials of enforced policies that a waiver covers
	Obligations []Obligation `json:"obligations,omitempty"`
	Policies    []Applied    `json:"policies,omitempty"`
	PolicySet   string       `json:"policy_set"` // Engine.Revision
	ValidUntil  time.Time    `json:"valid_until,omitzero"`
}

// Applied is one policy that had a say.
type Applied struct {
	Name     string `json:"name"`
	Mode     Mode   `json:"mode"`
	Revision string `json:"revision"` // sha256:<hex> of source and parameters
	Deny     int    `json:"deny"`
}

// Traits are the properties of the policies that match a repository; the stricter of two wins.
type Traits struct {
	Matched         bool // false: refuse with policy.none
	EvidenceFirst   bool // evidence: first
	AllChildren     bool // index: all-children
	TagsStrict      bool // tags: strict
	WantsSBOM       bool // some policy reads input.sbom
	NoConfig        bool // no policy, of whatever mode, reads what the image's config says
	Vulnerabilities bool // some policy, of whatever mode, reads input.vulnerabilities
	Open            bool // every policy that matches is builtin:open
	PushRules       bool // some policy, of whatever mode, has rules at the entry point push, or none matches
	TagRules        bool // the same for tag
	Referrers       bool // some policy, of whatever mode, reads input.referrers
	TagHistory      bool // the same for input.tags.history
	K8sRules        bool // some policy, of whatever mode, has rules at the entry point k8s
}

// Engine decides. Implementations are immutable snapshots: a reload makes a new one.
type Engine interface {
	// Decide evaluates every policy that matches in.Subject.Repository at in.Request.Entry, at time in.Request.Time, and combines them by AND.
	// It fails closed inside: a policy that errors, times out or answers nonsense yields a denial with a policy.* code in a Decision.
	// An error means that no decision could be made at all.
	Decide(ctx context.Context, in *Input) (*Decision, error)
	Traits(repo store.Name) Traits
	// Revision names the set: sha256:<hex> over all sources, parameters and bindings.
	Revision() string
}
