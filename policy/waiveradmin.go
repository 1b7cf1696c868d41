package policy

import (
	"context"
	"slices"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/policy/waiver"
	"github.com/assay-registry/assay/policy/waiverkeep"
	"github.com/assay-registry/assay/store"
)

// Waivers lists the waivers that the caller administers: those of whose every repository it is an administrator. Those of an id that was revoked before it came
// are listed with the id alone, to administrators of everything.
func (a *Admission) Waivers(_ context.Context, p access.Principal) ([]waiverkeep.View, error) {
	t := a.grounds.Load()
	everything := p.MayAdminister("**")
	all := t.waivers.Views(a.now(), func(w *waiver.Waiver) bool {
		return everything == nil || p.MayAdminister(w.Match.Repositories...) == nil
	})
	switch {
	case everything == nil:
		all = append(all, t.waivers.Awaited()...)
	case len(all) == 0 && !slices.ContainsFunc(p.Grants, func(g access.Grant) bool { return g.Roles.Has(access.RoleAdmin) }):
		return nil, everything
	}
	return all, nil
}

// Waiver shows the waivers of an id: more than one where somebody signed different documents under it. Errors: CodeNotFound.
func (a *Admission) Waiver(ctx context.Context, p access.Principal, id string) ([]waiverkeep.View, error) {
	all, err := a.Waivers(ctx, p)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(v waiverkeep.View) bool { return v.ID != id })
	if len(all) == 0 {
		return nil, store.Errorf(store.CodeNotFound, "there is no waiver %.80q; assay waiver list shows them", id)
	}
	return all, nil
}

// RevokeWaiver ends all waivers of an id for good, those that are pushed later included. When it returns, nothing is admitted by them. Whoever administers every
// repository of a waiver may revoke it; an id that nobody knows yet takes an administrator of everything. A repeat answers the record that is there.
// Errors: CodeInvalid, CodeDenied.
func (a *Admission) RevokeWaiver(ctx context.Context, p access.Principal, id, reason string) (*waiverkeep.Revocation, error) {
	switch {
	case !waiver.ValidID(id):
		return nil, store.Errorf(store.CodeInvalid, "%.80q is no id of a waiver; assay waiver list shows them", id)
	case len(reason) > sentence.Max:
		return nil, store.Errorf(store.CodeInvalid, "the reason of a revocation has at most %d bytes", sentence.Max)
	}
	r := waiverkeep.Revocation{ID: id, Reason: reason, By: p.Name, At: a.now()}
	err := a.change(ctx, func(tx *store.Txn, t *grounds) (err error) {
		var added bool
		if r, added, err = t.waivers.Revoke(tx, p, r); err == nil && added {
			a.audit(tx, AuditRecord{Actor: p.Name, Action: "waiver", Reason: sentence.Clip(sentence.Because("waiver "+id+" revoked", reason), sentence.Max)})
		}
		return err
	})
	if err != nil {
		return nil, a.refusedChange(ctx, p, AuditRecord{Reason: "waiver " + id}, err)
	}
	return &r, a.drain(ctx)
}

// SetWaivers replaces who may sign waivers, and for how long.
func (a *Admission) SetWaivers(ctx context.Context, rules waiverkeep.Rules) error {
	return a.change(ctx, func(_ *store.Txn, t *grounds) error {
		t.waivers.SetRules(rules)
		return nil
	})
}

// WaiverCounts says how many waivers there are, by state, how many of the active ones are break glass, and how many verdicts needed break glass since the start.
func (a *Admission) WaiverCounts() (states map[waiverkeep.State]int, glass int, verdicts uint64) {
	states, glass = a.grounds.Load().waivers.Counts(a.now())
	return states, glass, a.glass.Load()
}

// tellGlass says which waivers of every code count, or will, where that changed. Changes of trust come one at a time.
func (a *Admission) tellGlass(t *grounds) {
	if a.o.BreakGlass == nil {
		return
	}
	list, names := t.waivers.Glass(a.now())
	if names = "told" + names; names != a.glassTold { // at the start there may be what was told by the process before
		a.glassTold = names
		a.o.BreakGlass(append([]waiverkeep.View{}, list...))
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
