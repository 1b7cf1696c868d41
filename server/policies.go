package server

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/replay"
	"github.com/assay-registry/assay/policy/shadow"
	"github.com/assay-registry/assay/store"
)

// Policies says which policies are in force and changes that at run time. Implementation: the command's. Who may ask is decided here: administrators of every repository.
// Errors: CodeInvalid for policies that do not compile, CodeConflict where something else changed meanwhile or too much would be denied, CodeNotFound.
type Policies interface {
	PolicyStatus(ctx context.Context, p access.Principal) (*PolicyStatus, error)
	// ReplayPolicies evaluates a candidate over everything that is stored, and changes nothing.
	ReplayPolicies(ctx context.Context, p access.Principal, c Candidate, o replay.Options) (*replay.Report, error)
	// StagePolicies keeps a candidate beside the policies in force, which decides live traffic too, without effect. UnstagePolicies forgets it.
	StagePolicies(ctx context.Context, p access.Principal, c Candidate) (*policy.PolicySet, error)
	UnstagePolicies(ctx context.Context, p access.Principal) error
	// ActivatePolicies replays the staged set and puts it into force, unless it denies more of what is admitted than maxNewlyDenied.
	ActivatePolicies(ctx context.Context, p access.Principal, maxNewlyDenied int) (*Activation, error)
	// RollBackPolicies puts the set before into force again. A source instead permits that the policies of that reference go back to a digest.
	RollBackPolicies(ctx context.Context, p access.Principal, source string, d store.Digest) (*PolicyStatus, error)
	PolicyHistory(ctx context.Context, p access.Principal) ([]policy.PolicySet, error)
}

// Candidate is policies that may come into force: those in force with some replaced, added and left out, or others altogether.
type Candidate struct {
	Policies []policy.Binding `json:"policies,omitempty"` // each takes the place of the one of its name, or is added
	Without  []string         `json:"without,omitempty"`  // names of those in force that are left out
	Whole    bool             `json:"whole,omitempty"`    // Policies are all that there is
	Staged   bool             `json:"staged,omitempty"`   // what is staged already, and nothing else; replay only
	Reason   string           `json:"reason,omitempty"`   // for the history
}

// Activation is a set that came into force, and what that changed.
type Activation struct {
	Set    policy.PolicySet `json:"set"` // without the text of its policies
	Report *replay.Report   `json:"report"`
}

// PolicyStatus is what is in force, and beside it.
type PolicyStatus struct {
	Revision uint64         `json:"revision"` // 0: the configuration's
	Set      string         `json:"set"`      // sha256:<hex>, by which decisions name it
	By       string         `json:"by,omitempty"`
	At       time.Time      `json:"at,omitzero"`
	Reason   string         `json:"reason,omitempty"`
	Lapsed   uint64         `json:"lapsed,omitempty"` // the revision that ended because the configuration changed
	Policies []PolicyEntry  `json:"policies"`
	Staged   *StagedStatus  `json:"staged,omitempty"`
	Sources  []PolicyOrigin `json:"sources,omitempty"`
}

// PolicyEntry is one policy in force.
type PolicyEntry struct {
	Name         string        `json:"name"`
	Title        string        `json:"title,omitempty"`
	Mode         contract.Mode `json:"mode"`
	Repositories store.Globs   `json:"repositories"`
	From         string        `json:"from,omitempty"` // builtin:, tuf:, oci:, bundle:; empty where the set has the text
	Revision     string        `json:"revision"`
}

// StagedStatus is what is staged, and what live traffic showed of it.
type StagedStatus struct {
	Digest string         `json:"digest"`
	By     string         `json:"by"`
	At     time.Time      `json:"at"`
	Reason string         `json:"reason,omitempty"`
	Error  string         `json:"error,omitempty"` // why it decides nothing
	Shadow *shadow.Report `json:"shadow,omitempty"`
}

// PolicyOrigin is where policies come from, and how the last look went.
type PolicyOrigin struct {
	Ref       string       `json:"ref"`
	Digest    store.Digest `json:"digest,omitempty"` // in force
	Revision  uint64       `json:"revision,omitempty"`
	SignedBy  string       `json:"signed_by,omitempty"`
	At        time.Time    `json:"at,omitzero"`
	CheckedAt time.Time    `json:"checked_at,omitzero"`
	Failures  int          `json:"failures,omitempty"` // in a row
	Error     string       `json:"error,omitempty"`    // of the last look: a sentence
}

// Limits of what changes policies.
const (
	maxCandidate  = 16 << 20 // bytes
	replayTimeout = 10 * time.Minute
	replayTells   = 500 * time.Millisecond // between two lines of progress
)

// policies answers /api/v1/policies and what is below it.
func (c *call) policies() error {
	if err := c.administrator(); err != nil {
		return err
	}
	ps := c.h.options.Policies
	if ps == nil {
		return store.Errorf(store.CodeUnsupported, "this registry cannot change its policies while it runs")
	}
	ctx := c.r.Context()
	switch c.route.Endpoint {
	case EndpointPolicies:
		return answer(c, func(ctx context.Context) (*PolicyStatus, error) { return ps.PolicyStatus(ctx, c.principal) })
	case EndpointPolicyHistory:
		return answer(c, func(ctx context.Context) (out struct {
			Sets []policy.PolicySet `json:"sets"`
		}, err error) {
			out.Sets, err = ps.PolicyHistory(ctx, c.principal)
			return out, err
		})
	case EndpointPolicyReplay:
		return c.replay(ps)
	case EndpointPolicyActivate:
		return c.activate(ps)
	case EndpointPolicyRollback:
		var in struct {
			Source string `json:"source"`
			Digest string `json:"digest"`
		}
		if err := c.decode(&in); err != nil {
			return err
		}
		var d store.Digest
		if in.Source != "" || in.Digest != "" {
			var err error
			if d, err = store.ParseDigest(in.Digest); err != nil {
				return err
			}
		}
		return answer(c, func(ctx context.Context) (*PolicyStatus, error) {
			return ps.RollBackPolicies(ctx, c.principal, in.Source, d)
		})
	}
	if c.r.Method == http.MethodDelete {
		return c.done(ps.UnstagePolicies(ctx, c.principal))
	}
	var in Candidate
	if err := c.decodeUpTo(&in, maxCandidate); err != nil {
		return err
	}
	return answer(c, func(ctx context.Context) (*policy.PolicySet, error) { return ps.StagePolicies(ctx, c.principal, in) })
}

// activate answers /api/v1/policies/activate: {max_newly_denied}.
func (c *call) activate(ps Policies) error {
	var in struct {
		MaxNewlyDenied int `json:"max_newly_denied"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	if in.MaxNewlyDenied < 0 {
		return store.Errorf(store.CodeInvalid, "max_newly_denied is a number of manifests")
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), replayTimeout)
	defer cancel()
	made, err := ps.ActivatePolicies(ctx, c.principal, in.MaxNewlyDenied)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, made)
}

// replay answers /api/v1/policies/replay line by line (application/x-ndjson): {"done": n} while it goes on, and at the end {"report": {...}} or {"error": "..."}.
func (c *call) replay(ps Policies) error {
	var in struct {
		Candidate
		Repositories store.Globs `json:"repositories"`
		Examples     int         `json:"examples"`
	}
	if err := c.decodeUpTo(&in, maxCandidate); err != nil {
		return err
	}
	if err := checkGlobs(in.Repositories); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), replayTimeout)
	defer cancel()
	lines := json.NewEncoder(c.w)
	flush := http.NewResponseController(c.w)
	told, begun := c.h.options.Clock(), false
	write := func(v any) {
		if !begun {
			c.w.Header()["Content-Type"] = []string{"application/x-ndjson"}
			begun = true
		}
		c.w.extend()
		c.note(lines.Encode(v))
		_ = flush.Flush() // where it is not supported, lines come together
	}
	report, err := ps.ReplayPolicies(ctx, c.principal, in.Candidate, replay.Options{Repositories: in.Repositories, Examples: in.Examples, Progress: func(done int) {
		if now := c.h.options.Clock(); now.Sub(told) >= replayTells {
			told = now
			write(map[string]int{"done": done})
		}
	}})
	switch {
	case err != nil && !begun:
		return err
	case err != nil:
		if e := c.understand(err); e != nil {
			c.code = e.Code
			write(map[string]string{"code": string(e.Wire()), "error": visible(withoutCause(e))})
		}
	default:
		write(map[string]any{"report": report})
	}
	return nil
}
