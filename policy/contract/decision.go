package contract

import (
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

// Earlier is the earlier of two ends, of which a zero one is none.
func Earlier(x, y time.Time) time.Time {
	if x.IsZero() || !y.IsZero() && y.Before(x) {
		return y
	}
	return x
}

// First is the reason that people are told.
func (d *Decision) First() Reason {
	if len(d.Deny) == 0 {
		return Reason{}
	}
	return d.Deny[0]
}
