package contract

import (
	"context"

	"github.com/assay-registry/assay/store"
)

// Traits are the properties of the policies that match a repository; the stricter of two wins.
type Traits struct {
	Matched         bool // false: refuse with policy.none
	EvidenceFirst   bool // evidence: first
	AllChildren     bool // index: all-children
	TagsStrict      bool // tags: strict
	WantsSBOM       bool // some policy reads input.sbom
	NoConfig        bool // no policy, of whatever mode, reads what the image's config says
	NoManifest      bool // nor what the manifest's bytes say
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

// And is t, with what another set reads and where it has rules.
func (t Traits) And(other Traits) Traits {
	t.PushRules, t.TagRules, t.K8sRules = t.PushRules || other.PushRules, t.TagRules || other.TagRules, t.K8sRules || other.K8sRules
	t.Vulnerabilities, t.Referrers, t.TagHistory = t.Vulnerabilities || other.Vulnerabilities, t.Referrers || other.Referrers, t.TagHistory || other.TagHistory
	t.NoConfig, t.NoManifest = t.NoConfig && other.NoConfig, t.NoManifest && other.NoManifest
	return t
}

// ContentReader is an engine that tells which policies read input.sbom at the entry point admit: what they deny, a push may be refused for.
type ContentReader interface {
	ReadsContents(policy string) bool
}
