package policy

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/policy/waiver"
	"github.com/assay-registry/assay/store"
)

// WaiverView is a waiver as administrators and explanations show it.
type WaiverView struct {
	waiver.Waiver
	State      WaiverState       `json:"state"`
	Why        string            `json:"why,omitempty"`  // it does not count: a sentence
	Signed     []WaiverSignature `json:"signed"`         // by whom that counts
	Until      time.Time         `json:"until,omitzero"` // when it ceases to count, where that is before it expires
	Revocation *WaiverRevocation `json:"revocation,omitempty"`
	Repository store.Name        `json:"repository,omitempty"` // where it arrived first
	By         string            `json:"by,omitempty"`         // who pushed it
	At         time.Time         `json:"at,omitzero"`
}

// WaiverSignature is who vouches for a waiver.
type WaiverSignature struct {
	Authority string `json:"authority"`
	Signer    string `json:"signer"` // a key's ID, or an issuer and an identity
}

func (t *grounds) viewWaiver(w *keptWaiver, repo store.Name, now time.Time) WaiverView {
	state, by, until, _ := t.waiverStanding(w, repo, now)
	v := WaiverView{Waiver: w.rec.Waiver, State: state, Signed: []WaiverSignature{}, Why: waiverRemark(w, state, len(by), t.waiverRules.max()), At: w.rec.At}
	for _, s := range by {
		v.Signed = append(v.Signed, WaiverSignature{s.authority, s.signer})
	}
	if until.Before(w.rec.Waiver.Expires) {
		v.Until = until
	}
	if r, ok := t.unwaived[w.rec.Waiver.ID]; ok {
		v.Revocation = &r
	}
	if len(w.rec.Signed) > 0 {
		v.Repository, v.By = w.rec.Signed[0].Repository, w.rec.Signed[0].By
	}
	return v
}

// explainWaivers are those about a manifest, the ones that do not count included, as far as they stand in its repository.
func (t *grounds) explainWaivers(repo store.Name, ds []store.Digest, now time.Time) []WaiverView {
	var all []WaiverView
	for i := range t.waivers {
		if w := &t.waivers[i]; w.rec.Waiver.Covers(repo, ds) {
			v := t.viewWaiver(w, repo, now)
			v.By, v.Repository = "", ""
			all = append(all, v)
		}
	}
	return all
}

// Waivers lists the waivers that the caller administers: those of whose every repository it is an administrator. Those of an id that was revoked before it came
// are listed with the id alone, to administrators of everything.
func (a *Admission) Waivers(_ context.Context, p access.Principal) ([]WaiverView, error) {
	t := a.grounds.Load()
	all, known := []WaiverView{}, map[string]bool{}
	everything := p.MayAdminister("**")
	for i := range t.waivers {
		w := &t.waivers[i]
		known[w.rec.Waiver.ID] = true
		if everything == nil || p.MayAdminister(w.rec.Waiver.Match.Repositories...) == nil {
			all = append(all, t.viewWaiver(w, "", a.now()))
		}
	}
	if everything != nil {
		if len(all) == 0 && !slices.ContainsFunc(p.Grants, func(g access.Grant) bool { return g.Roles.Has(access.RoleAdmin) }) {
			return nil, everything
		}
		return all, nil
	}
	for _, id := range slices.Sorted(maps.Keys(t.unwaived)) {
		if r := t.unwaived[id]; !known[id] {
			all = append(all, WaiverView{Waiver: waiver.Waiver{ID: id}, State: WaiverRevoked, Revocation: &r, Signed: []WaiverSignature{}})
		}
	}
	return all, nil
}

// Waiver shows the waivers of an id: more than one where somebody signed different documents under it. Errors: CodeNotFound.
func (a *Admission) Waiver(ctx context.Context, p access.Principal, id string) ([]WaiverView, error) {
	all, err := a.Waivers(ctx, p)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(v WaiverView) bool { return v.ID != id })
	if len(all) == 0 {
		return nil, store.Errorf(store.CodeNotFound, "there is no waiver %.80q; assay waiver list shows them", id)
	}
	return all, nil
}

// maxWaiverRevocations bounds what is remembered for good.
const maxWaiverRevocations = 100_000

// RevokeWaiver ends all waivers of an id for good, those that are pushed later included. When it returns, nothing is admitted by them. Whoever administers every
// repository of a waiver may revoke it; an id that nobody knows yet takes an administrator of everything. A repeat answers the record that is there.
// Errors: CodeInvalid, CodeDenied.
func (a *Admission) RevokeWaiver(ctx context.Context, p access.Principal, id, reason string) (*WaiverRevocation, error) {
	switch {
	case !waiver.ValidID(id):
		return nil, store.Errorf(store.CodeInvalid, "%.80q is no id of a waiver; assay waiver list shows them", id)
	case len(reason) > sentence.Max:
		return nil, store.Errorf(store.CodeInvalid, "the reason of a revocation has at most %d bytes", sentence.Max)
	}
	r := WaiverRevocation{ID: id, Reason: reason, By: p.Name, At: a.now()}
	err := a.change(ctx, func(tx *store.Txn, t *grounds) error {
		known := false
		for _, w := range t.waivers {
			if w.rec.Waiver.ID == id {
				known = true
				if err := p.MayAdminister(w.rec.Waiver.Match.Repositories...); err != nil {
					return err
				}
			}
		}
		if !known {
			if err := p.MayAdminister("**"); err != nil {
				return err
			}
		}
		if old, ok := t.unwaived[id]; ok {
			r = old
			return nil
		}
		if len(t.unwaived) >= maxWaiverRevocations {
			return store.Errorf(store.CodeInvalid, "%d waivers are revoked, and no more are remembered; revoke the key that signs them: assay trust revoke", len(t.unwaived))
		}
		b, err := json.Marshal(r)
		if err != nil {
			return store.Errorf(store.CodeInternal, "the revocation could not be stored: %w", err)
		}
		t.unwaived[id] = r
		tx.PutDoc(classWaiverRevoked, id, b)
		a.audit(tx, AuditRecord{Actor: p.Name, Action: "waiver", Reason: sentence.Clip(sentence.Because("waiver "+id+" revoked", reason), sentence.Max)})
		return nil
	})
	if err != nil {
		return nil, a.refusedChange(ctx, p, AuditRecord{Reason: "waiver " + id}, err)
	}
	return &r, a.drain(ctx)
}

// SetWaivers replaces who may sign waivers, and for how long.
func (a *Admission) SetWaivers(ctx context.Context, rules WaiverRules) error {
	return a.change(ctx, func(_ *store.Txn, t *grounds) error {
		t.waiverRules = rules
		return nil
	})
}

// WaiverCounts says how many waivers there are, by state, how many of the active ones are break glass, and how many verdicts needed break glass since the start.
func (a *Admission) WaiverCounts() (states map[WaiverState]int, glass int, verdicts uint64) {
	t, now := a.grounds.Load(), a.now()
	states = map[WaiverState]int{}
	for i := range t.waivers {
		state, _, _, _ := t.waiverStanding(&t.waivers[i], "", now)
		states[state]++
		if state == WaiverActive && t.waivers[i].rec.Waiver.BreakGlass() {
			glass++
		}
	}
	return states, glass, a.glass.Load()
}

// tellGlass says which waivers of every code count, or will, where that changed. Changes of trust come one at a time.
func (a *Admission) tellGlass(t *grounds) {
	if a.o.BreakGlass == nil {
		return
	}
	list, names := []WaiverView{}, "told" // at the start there may be what was told by the process before
	for i := range t.waivers {
		w := &t.waivers[i]
		if v := t.viewWaiver(w, "", a.now()); w.rec.Waiver.BreakGlass() && (v.State == WaiverActive || v.State == WaiverEarly) {
			list, names = append(list, v), names+" "+w.name
		}
	}
	if names != a.glassTold {
		a.glassTold = names
		a.o.BreakGlass(list)
	}
}

// loud tells the operator of a verdict that needed break glass.
func (a *Admission) loud(tx *store.Txn, s *subjectManifest, d *contract.Decision) {
	ids := d.WaiverIDs(true)
	if len(ids) == 0 {
		return
	}
	repo, digest, id, waived := s.repo, s.rec.Digest, d.ID, len(d.Waived)
	tx.AfterCommit(func() {
		a.glass.Add(1)
		a.log.Warn("break glass: a verdict let through what policies deny", "repository", repo, "digest", digest, "waivers", ids, "denials", waived, "decision", id)
	})
}
