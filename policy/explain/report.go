package explain

import (
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/pulls"
	"github.com/assay-registry/assay/policy/waiverkeep"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// Explanation answers "why may this (not) be pulled, and what would change it?".
type Explanation struct {
	Repository   store.Name          `json:"repository"`
	Reference    string              `json:"reference"`
	Digest       store.Digest        `json:"digest"`
	Kind         store.Kind          `json:"kind"`
	State        store.State         `json:"state"`
	Readable     bool                `json:"readable"` // for a principal with the role pull alone
	Reason       string              `json:"reason"`   // one sentence
	Remedy       string              `json:"remedy,omitempty"`
	Help         string              `json:"help,omitempty"` // path of the page of the first denial's code
	Tag          *TagView            `json:"tag,omitempty"`
	Decision     *contract.Decision  `json:"decision,omitempty"`
	Facts        []verify.Fact       `json:"facts,omitempty"`
	Authorities  []string            `json:"authorities"` // names of those that cover the repository
	FirstSeen    time.Time           `json:"first_seen,omitzero"`
	Pushers      []string            `json:"pushers,omitempty"`
	ExpiresAt    time.Time           `json:"expires_at,omitzero"` // when quarantine ends
	SBOM         *contract.SBOMInput `json:"sbom,omitempty"`
	Findings     []string            `json:"findings,omitempty"` // of vulnerabilities: how many, and what is stated of which by whom
	DecidedAt    time.Time           `json:"decided_at,omitzero"`
	EvidenceKept int                 `json:"evidence_kept"`     // evidence manifests that are known for the digest
	Waivers      []waiverkeep.View   `json:"waivers,omitempty"` // about it, also those that do not count
	Pulls        *pulls.View         `json:"pulls,omitempty"`   // for writers, if there were any
}

// TagView is both sides of a tag.
type TagView struct {
	Name    string       `json:"name"`
	Current store.Digest `json:"current"`
	Visible store.Digest `json:"visible,omitempty"`
	Reason  string       `json:"reason,omitempty"` // why visible is not current
}

// Record is a decision as it was made: what was asked, what was answered.
type Record struct {
	ID         string       `json:"decision_id"`
	Repository store.Name   `json:"repository"`
	Digest     store.Digest `json:"digest"`
	At         time.Time    `json:"at"`
	State      store.State  `json:"state"`
	// Authorities are those that spoke for the repository, by name: sha256:<64 hex>, of a TUF repository what it says.
	Authorities map[string]string  `json:"authorities,omitempty"`
	Input       *contract.Input    `json:"input,omitempty"`
	Result      *contract.Decision `json:"result"`
}

// TreeNode is a manifest with what belongs to it.
type TreeNode struct {
	Digest       store.Digest `json:"digest"`
	MediaType    string       `json:"media_type"`
	ArtifactType string       `json:"artifact_type,omitempty"`
	Kind         store.Kind   `json:"kind"`
	State        store.State  `json:"state,omitempty"`
	Platform     string       `json:"platform,omitempty"` // os/architecture[/variant]
	Size         int64        `json:"size"`
	Reason       string       `json:"reason,omitempty"` // why it is not admitted
	Absent       bool         `json:"absent,omitempty"`
	Facts        []string     `json:"facts,omitempty"`    // of evidence: one line each
	Findings     []string     `json:"findings,omitempty"` // of an image, as in an explanation
	Children     []TreeNode   `json:"children,omitempty"`
	Evidence     []TreeNode   `json:"evidence,omitempty"`
}

// VerifyReport is what is known of one digest, for a person or a script: allowed, and every fact.
type VerifyReport struct {
	Repository store.Name    `json:"repository"`
	Digest     store.Digest  `json:"digest"`
	Allowed    bool          `json:"allowed"`
	State      store.State   `json:"state"`
	Reason     string        `json:"reason,omitempty"`
	Facts      []verify.Fact `json:"facts"`
}
