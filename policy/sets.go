package policy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/policy/shadow"
	"github.com/assay-registry/assay/store"
)

// Binding is one policy of a set: what it says, where and how it counts, with which parameters.
type Binding struct {
	Name         string        `json:"name"`
	Repositories store.Globs   `json:"repositories"`
	Mode         contract.Mode `json:"mode"`
	// Rego names where the modules are looked up whenever policies are compiled: builtin:NAME, tuf:AUTHORITY, oci:REPOSITORY:TAG, or bundle:PATH. Without it they are
	// those of Source, by file name.
	Rego          string            `json:"rego,omitempty"`
	Source        map[string]string `json:"source,omitempty"`
	Params        map[string]any    `json:"params,omitempty"`
	EvidenceFirst bool              `json:"evidence_first,omitempty"`
	AllChildren   bool              `json:"all_children,omitempty"`
	TagsStrict    bool              `json:"tags_strict,omitempty"`
}

// DigestBindings names bindings: sha256:<hex> of their JSON. What a reference names may change without it.
func DigestBindings(bs []Binding) string {
	b, err := json.Marshal(bs)
	if err != nil {
		panic("policy: bindings that do not marshal") // strings, and parameters that were JSON
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// PolicySet is policies that were put into force, or are to be, together, at run time.
type PolicySet struct {
	Revision uint64    `json:"revision"` // 1 and up; 0 is the configuration's, and what is staged
	Digest   string    `json:"digest"`   // DigestBindings
	Bindings []Binding `json:"bindings"`
	Reason   string    `json:"reason,omitempty"`
	By       string    `json:"by"`
	At       time.Time `json:"at"`
	Previous uint64    `json:"previous"` // the revision that it took the place of
}

// PolicyState is what the store remembers of the sets.
type PolicyState struct {
	Active        uint64 `json:"active"`        // the revision in force
	Last          uint64 `json:"last"`          // the highest that was ever given
	Configuration string `json:"configuration"` // DigestBindings of the configuration beside which Active was activated

	Set    *PolicySet `json:"-"` // of Active; nil for the configuration's
	Staged *PolicySet `json:"-"` // nil for none
	Lapsed uint64     `json:"lapsed,omitempty"`
}

// Where they are kept.
const (
	classPolicies    = "policies"
	classPolicySets  = "policyset"
	docPolicyState   = "state"
	docPolicyStaged  = "staged"
	keepPolicySets   = 32
	maxPolicySet     = 16 << 20 // bytes of JSON
	maxPolicyReasons = 300
)

func setName(revision uint64) string { return fmt.Sprintf("%020d", revision) }

// StoredPolicies is what the store remembers, for whoever compiles policies before there is an Admission, too.
func StoredPolicies(ctx context.Context, local *store.Local) (state *PolicyState, err error) {
	err = local.View(ctx, func(s store.Snapshot) error {
		state, err = loadPolicies(s.Records)
		return err
	})
	return state, err
}

func loadPolicies(r store.Records) (*PolicyState, error) {
	state := &PolicyState{}
	damaged := func(err error) error {
		return store.Errorf(store.CodeInternal, "the record of policy sets is damaged; run assay check: %w", err)
	}
	if b := r.Doc(classPolicies, docPolicyState); b != nil {
		if err := json.Unmarshal(b, state); err != nil {
			return nil, damaged(err)
		}
	}
	if b := r.Doc(classPolicies, docPolicyStaged); b != nil {
		if err := json.Unmarshal(b, &state.Staged); err != nil {
			return nil, damaged(err)
		}
	}
	if state.Active > 0 {
		if err := json.Unmarshal(r.Doc(classPolicySets, setName(state.Active)), &state.Set); err != nil {
			return nil, damaged(err)
		}
	}
	return state, nil
}

// put writes the state, without the sets.
func (s *PolicyState) put(tx *store.Txn) { putDoc(tx, classPolicies, docPolicyState, s) }

func putDoc(tx *store.Txn, class, name string, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic("policy: a record that does not marshal") // strings, numbers, and parameters that were JSON
	}
	tx.PutDoc(class, name, b)
}

// PolicyHistory lists the sets that were activated and are still kept, the newest first.
func (a *Admission) PolicyHistory(ctx context.Context, p access.Principal) ([]PolicySet, error) {
	if err := p.MayAdminister("**"); err != nil {
		return nil, err
	}
	docs, err := a.local.Docs(ctx, classPolicySets)
	if err != nil {
		return nil, err
	}
	sets := []PolicySet{}
	for _, b := range docs {
		var s PolicySet
		if err := json.Unmarshal(b, &s); err != nil {
			return nil, store.Errorf(store.CodeInternal, "the record of policy sets is damaged; run assay check: %w", err)
		}
		sets = append(sets, s)
	}
	slices.SortFunc(sets, func(x, y PolicySet) int { return int(y.Revision) - int(x.Revision) })
	return sets, nil
}

// StagePolicies keeps a set beside the one in force; the one that was staged goes. Compiling it was the caller's business. Errors: CodeInvalid, CodeDenied.
func (a *Admission) StagePolicies(ctx context.Context, p access.Principal, bs []Binding, reason string) (*PolicySet, error) {
	if err := p.MayAdminister("**"); err != nil {
		return nil, a.refusedChange(ctx, p, AuditRecord{}, err)
	}
	set := &PolicySet{Digest: DigestBindings(bs), Bindings: bs, Reason: sentence.Clip(reason, maxPolicyReasons), By: p.Name, At: a.now()}
	if b, err := json.Marshal(set); err != nil || len(b) > maxPolicySet {
		return nil, store.Errorf(store.CodeInvalid, "a set of policies has at most %d MiB", maxPolicySet>>20)
	}
	return set, a.local.Update(ctx, func(tx *store.Txn) error {
		putDoc(tx, classPolicies, docPolicyStaged, set)
		a.audit(tx, AuditRecord{Actor: p.Name, Action: "policy", Reason: "staged " + set.Digest})
		return nil
	})
}

// UnstagePolicies forgets the staged set. Errors: CodeNotFound, CodeDenied.
func (a *Admission) UnstagePolicies(ctx context.Context, p access.Principal) error {
	if err := p.MayAdminister("**"); err != nil {
		return a.refusedChange(ctx, p, AuditRecord{}, err)
	}
	return a.local.Update(ctx, func(tx *store.Txn) error {
		if tx.Doc(classPolicies, docPolicyStaged) == nil {
			return store.Errorf(store.CodeNotFound, "nothing is staged; assay policy stage puts a set there")
		}
		tx.DeleteDoc(classPolicies, docPolicyStaged)
		shadow.Forget(tx)
		a.audit(tx, AuditRecord{Actor: p.Name, Action: "policy", Reason: "unstaged"})
		return nil
	})
}

// ActivatePolicies puts the staged set into force, compiled as e, if it is still the one of that digest. configuration names the configuration's own policies, whose place it
// takes until these change. One transaction holds the set, the audit record and the denial of older verdicts. Errors: CodeConflict, CodeDenied.
func (a *Admission) ActivatePolicies(ctx context.Context, p access.Principal, digest, configuration string, e contract.Engine) (made *PolicySet, err error) {
	if err := p.MayAdminister("**"); err != nil {
		return nil, a.refusedChange(ctx, p, AuditRecord{}, err)
	}
	err = a.change(ctx, func(tx *store.Txn, t *grounds) error {
		state, err := loadPolicies(tx.Records)
		if err != nil {
			return err
		}
		if state.Staged == nil || state.Staged.Digest != digest {
			return store.Errorf(store.CodeConflict, "another set was staged meanwhile; look at assay policy status and activate again")
		}
		set := *state.Staged
		set.Revision, set.Previous, set.By, set.At = state.Last+1, state.Active, p.Name, a.now()
		next := &PolicyState{Active: set.Revision, Last: set.Revision, Configuration: configuration}
		putDoc(tx, classPolicySets, setName(set.Revision), set)
		tx.DeleteDoc(classPolicies, docPolicyStaged)
		shadow.Forget(tx)
		dropOldSets(tx, set.Revision)
		next.put(tx)
		t.ReplaceEngine(e)
		a.audit(tx, AuditRecord{Actor: p.Name, Action: "policy", Reason: fmt.Sprintf("activated revision %d, %s, in place of %d", set.Revision, set.Digest, set.Previous)})
		made = &set
		return nil
	})
	return made, err
}

// dropOldSets keeps the newest.
func dropOldSets(tx *store.Txn, newest uint64) {
	for name := range tx.DocsOf(classPolicySets) {
		if n, err := strconv.ParseUint(name, 10, 64); err == nil && n+keepPolicySets <= newest {
			tx.DeleteDoc(classPolicySets, name)
		}
	}
}

// EarlierPolicies is the set before the one in force: nil with revision 0 is the configuration's. Errors: CodeConflict where the configuration's are in force already.
func EarlierPolicies(ctx context.Context, local *store.Local) (revision uint64, set *PolicySet, err error) {
	err = local.View(ctx, func(s store.Snapshot) error {
		state, err := loadPolicies(s.Records)
		if err != nil {
			return err
		}
		if revision, set, err = state.earlier(s.Records); err != nil {
			return err
		}
		return nil
	})
	return revision, set, err
}

func (s *PolicyState) earlier(r store.Records) (uint64, *PolicySet, error) {
	if s.Set == nil {
		return 0, nil, store.Errorf(store.CodeConflict, "the policies of the configuration are in force, and nothing was before them; change them there and reload")
	}
	b := r.Doc(classPolicySets, setName(s.Set.Previous))
	if s.Set.Previous == 0 || b == nil {
		return 0, nil, nil
	}
	set := new(PolicySet)
	if err := json.Unmarshal(b, set); err != nil {
		return 0, nil, store.Errorf(store.CodeInternal, "the record of policy sets is damaged; run assay check: %w", err)
	}
	return set.Revision, set, nil
}

// RollBackPolicies puts the set before the one of revision from into force again, compiled as e. Errors: CodeConflict, CodeDenied.
func (a *Admission) RollBackPolicies(ctx context.Context, p access.Principal, from, to uint64, configuration string, e contract.Engine) error {
	if err := p.MayAdminister("**"); err != nil {
		return a.refusedChange(ctx, p, AuditRecord{}, err)
	}
	return a.change(ctx, func(tx *store.Txn, t *grounds) error {
		state, err := loadPolicies(tx.Records)
		if err != nil {
			return err
		}
		if revision, _, err := state.earlier(tx.Records); err != nil {
			return err
		} else if state.Active != from || revision != to {
			return store.Errorf(store.CodeConflict, "other policies were put into force meanwhile; look at assay policy history")
		}
		state.Active, state.Configuration = to, configuration
		state.put(tx)
		t.ReplaceEngine(e)
		a.audit(tx, AuditRecord{Actor: p.Name, Action: "policy", Reason: fmt.Sprintf("rolled back from revision %d to %d", from, to)})
		return nil
	})
}

// LapsePolicies ends a set that was activated beside another configuration: whoever changed that wants what it says now. It runs before anything is compiled.
func LapsePolicies(ctx context.Context, local *store.Local, configuration string) (state *PolicyState, err error) {
	err = local.Update(ctx, func(tx *store.Txn) error {
		if state, err = loadPolicies(tx.Records); err != nil || state.Active == 0 || state.Configuration == configuration {
			return err
		}
		b, err := json.Marshal(AuditRecord{At: local.Now().UTC(), Actor: "system", Action: "policy",
			Reason: fmt.Sprintf("revision %d ended: the policies of the configuration changed", state.Active)})
		if err != nil {
			return err
		}
		tx.Audit(local.Now().UTC(), b)
		state.Lapsed, state.Active, state.Set = state.Active, 0, nil
		state.put(tx)
		return nil
	})
	return state, err
}
