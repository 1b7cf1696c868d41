package policy

import (
	"context"

	"github.com/assay-registry/assay/policy/pulls"
	"github.com/assay-registry/assay/policy/replay"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/policy/waiverkeep"
	"github.com/assay-registry/assay/store"
)

// grounds are an immutable snapshot of everything that a verdict depends on but the evidence.
type grounds struct {
	*trust.Snapshot
	waivers *waiverkeep.Book
	assumed *replay.Assumed // of a replay: what other manifests would be
}

// clone is a copy to be changed: lists and maps of it are replaced, never written to.
func (t *grounds) clone() *grounds {
	c := *t
	c.Snapshot = t.Snapshot.Clone()
	c.waivers = t.waivers.Clone()
	return &c
}

// Trust is what is in force now.
func (a *Admission) Trust() *trust.Snapshot { return a.grounds.Load().Snapshot }

// inForce is what is trusted now, and which waivers count.
func (a *Admission) inForce() (*trust.Snapshot, *waiverkeep.Book) {
	t := a.grounds.Load()
	return t.Snapshot, t.waivers
}

// trusted is the snapshot that a transaction decides by. The transaction reads the stored state too, so that it cannot commit
// across a change of trust; between such a change's commit and its publication it waits.
func (a *Admission) trusted(tx *store.Txn) *grounds {
	if t := a.grounds.Load(); t.Current(tx.Records) {
		return t
	}
	a.trustMu.Lock()
	defer a.trustMu.Unlock()
	return a.grounds.Load()
}

// loadTrust runs before anything listens.
func (a *Admission) loadTrust(ctx context.Context) error {
	return a.local.Update(ctx, func(tx *store.Txn) error {
		snapshot, err := trust.Load(tx, a.o.Engine, a.o.Authorities, borrowing(a.o.Rules)+a.o.Preferences.String())
		if err != nil {
			return err
		}
		book, err := waiverkeep.Load(tx.Records, a.o.Waivers)
		if err != nil {
			return err
		}
		if err := book.Prove(ctx, a.o.Verifier, snapshot.Authorities); err != nil {
			return err
		}
		last, err := waiverkeep.Last(tx)
		if err != nil {
			return err
		}
		n := &grounds{Snapshot: snapshot, waivers: book}
		if err := n.waivers.Seal(tx, n.Snapshot, last); err != nil {
			return err
		}
		n.Seal(tx)
		pulls.Begin(tx, a.now())
		tx.AfterCommit(func() { a.publish(n) })
		return nil
	})
}

func (a *Admission) publish(t *grounds) {
	a.grounds.Store(t)
	wake(a.wakeReview)
	a.tellGlass(t)
}

// change commits a change of trust and only then puts it into force, so that what is in force survives a restart. edit works on a copy,
// inside the transaction, and may run several times. What the change means for verdicts is found by comparing the authorities of before and after.
func (a *Admission) change(ctx context.Context, edit func(tx *store.Txn, t *grounds) error) error {
	a.trustMu.Lock()
	defer a.trustMu.Unlock()
	return a.local.Update(ctx, func(tx *store.Txn) error {
		t := a.grounds.Load().clone()
		before, waivers := t.Authorities, t.waivers.Prints()
		t.Seq++
		if err := edit(tx, t); err != nil {
			return err
		}
		t.Join(tx, before)
		if err := t.waivers.Prove(ctx, a.o.Verifier, t.Authorities); err != nil {
			return err
		}
		if err := t.waivers.Seal(tx, t.Snapshot, waivers); err != nil {
			return err
		}
		t.Seal(tx)
		tx.AfterCommit(func() { a.publish(t) })
		return nil
	})
}
