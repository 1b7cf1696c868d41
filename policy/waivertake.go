package policy

import (
	"context"
	"slices"
	"strings"

	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/policy/waiver"
	"github.com/assay-registry/assay/policy/waiverkeep"
	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// classWaiverPending has the evidence that carries a waiver, to be taken.
const classWaiverPending = "waiver-pending"

// A waiver arrives as evidence: an attestation with its predicate type. Being stored proves nothing; what an authority for waivers signed is taken into the snapshot of
// trust before the push is answered. It is recorded as work in the push's own commit, so that a crash between the two loses nothing.

// noteWaivers records that evidence carries waivers.
func (w *writing) noteWaivers() {
	if w.kind != store.KindEvidence || w.class == nil {
		return
	}
	if slices.ContainsFunc(w.class.Parts, func(p referrers.Part) bool { return p.PredicateType == verify.PredicateWaiver }) {
		w.waives = true
		w.tx.PutDoc(classWaiverPending, string(w.in.repo)+"@"+string(w.in.digest), []byte(w.in.by.Name))
	}
}

// pendingWaiver is evidence that carries a waiver, as it waits.
type pendingWaiver struct {
	name, by string
	item     store.Item
}

func pendingWaivers(docs map[string][]byte) []pendingWaiver {
	var all []pendingWaiver
	for name, by := range docs {
		repo, d, _ := strings.Cut(name, "@")
		all = append(all, pendingWaiver{name, string(by), store.Item{Repository: store.Name(repo), Digest: store.Digest(d)}})
	}
	slices.SortFunc(all, func(x, y pendingWaiver) int { return strings.Compare(x.name, y.name) })
	return all
}

// TakeWaivers takes the waivers in evidence that was pushed, and answers with a sentence for each that does not count and why. What they are about is decided
// before it returns.
func (a *Admission) TakeWaivers(ctx context.Context) (notes map[store.Item][]string, err error) {
	docs, err := a.local.Docs(ctx, classWaiverPending)
	if err != nil || len(docs) == 0 {
		return nil, err
	}
	notes = map[store.Item][]string{}
	for _, p := range pendingWaivers(docs) {
		found, said, err := a.readWaivers(ctx, p)
		if err != nil {
			return notes, err
		}
		notes[p.item] = said
		if len(found) == 0 {
			if err := a.local.DeleteDoc(ctx, classWaiverPending, p.name); err != nil {
				return notes, err
			}
			continue
		}
		more, err := a.takeWaivers(ctx, p, found)
		if err != nil {
			return notes, err
		}
		notes[p.item] = append(notes[p.item], more...)
	}
	return notes, a.drain(ctx)
}

// readWaivers finds the waivers in evidence that are signed by whoever may sign them. No trust changes for anything else.
func (a *Admission) readWaivers(ctx context.Context, p pendingWaiver) (found []waiverkeep.Statement, notes []string, err error) {
	var e *verify.Evidence
	err = a.local.Update(ctx, func(tx *store.Txn) error {
		e = nil
		rec, err := tx.Manifest(p.item.Repository, p.item.Digest)
		if err != nil || rec == nil || rec.State != store.StateEvidence {
			return err
		}
		e, err = a.load(ctx, tx, p.item.Repository, p.item.Digest, verify.FoundReferrers)
		return err
	})
	if err != nil || e == nil {
		return nil, nil, err
	}
	return a.grounds.Load().waivers.Read(ctx, a.o.Verifier, p.item.Repository, e, p.by, a.now())
}

// takeWaivers enters waivers into the snapshot of trust. What they change is in doubt from the same commit on.
func (a *Admission) takeWaivers(ctx context.Context, p pendingWaiver, found []waiverkeep.Statement) (notes []string, err error) {
	var loud []*waiver.Waiver
	take := a.change
	if !slices.ContainsFunc(found, a.grounds.Load().waivers.Lacks) { // a copy changes no trust, so that no transaction has to look at it again
		take = func(ctx context.Context, _ func(*store.Txn, *grounds) error) error {
			return a.local.DeleteDoc(ctx, classWaiverPending, p.name)
		}
	}
	err = take(ctx, func(tx *store.Txn, t *grounds) error {
		notes, loud = nil, nil
		tx.DeleteDoc(classWaiverPending, p.name)
		for _, f := range found {
			added, err := t.waivers.Add(tx, f)
			switch {
			case err != nil:
				notes = append(notes, "the waiver "+f.Doc.ID+" was not taken: "+sentence.FromError(err))
				continue
			case added:
				a.audit(tx, AuditRecord{Actor: p.by, Action: "waiver", Repository: p.item.Repository, Digest: p.item.Digest, Reason: sentence.Clip(f.Doc.String()+": "+f.Doc.Reason, sentence.Max)})
				if f.Doc.BreakGlass() {
					loud = append(loud, f.Doc)
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, w := range loud {
		a.log.Warn("break glass: a waiver of every code was taken", "waiver", w.ID, "repositories", w.Match.Repositories, "until", w.Expires, "approver", w.Approver, "reason", w.Reason, "by", p.by)
	}
	t := a.grounds.Load()
	for _, f := range found {
		if why := t.waivers.Remark(f, a.now()); why != "" {
			notes = append(notes, why)
		}
	}
	return notes, nil
}

// pruneWaivers forgets waivers that ended long ago. What is revoked stays revoked.
func (a *Admission) pruneWaivers(ctx context.Context) error {
	if !a.grounds.Load().waivers.Old(a.now()) {
		return nil
	}
	return a.change(ctx, func(tx *store.Txn, t *grounds) error {
		t.waivers.Prune(tx, a.now())
		return nil
	})
}
