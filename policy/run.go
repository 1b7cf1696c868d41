package policy

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/explain"
	"github.com/assay-registry/assay/policy/parsed"
	"github.com/assay-registry/assay/policy/pulls"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/store"
)

// period is how often time itself is looked at: retries, expiry, collection.
const period = time.Minute

// collectEvery is how many periods lie between two collections: they look at every blob.
const collectEvery = 60

// Run does what nobody waits for, until ctx ends: verdicts that a change of trust put in doubt, retries of pending ones, SBOMs, the clocks of
// quarantine, and the collection of what nothing needs. Everything it does is recorded as work first, so that a restart resumes.
func (a *Admission) Run(ctx context.Context) error {
	var workers sync.WaitGroup
	workers.Go(func() { a.runSBOM(ctx) })
	workers.Go(func() { a.runIngest(ctx) })
	workers.Go(func() { a.runVSA(ctx) })
	workers.Go(func() { a.outbox.Run(ctx) })
	workers.Go(func() { a.runPulls(ctx) })
	tick := time.NewTicker(period)
	defer tick.Stop()
	minutes := 0
	for {
		if err := a.Catchup(ctx); err != nil && ctx.Err() == nil {
			a.log.Error("the review of verdicts failed and is tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			workers.Wait()
			return nil
		case <-a.wakeReview:
		case <-tick.C:
			keep := a.clocks
			if minutes++; minutes%collectEvery == 0 {
				keep = a.Housekeep
			}
			if err := keep(ctx); err != nil && ctx.Err() == nil {
				a.log.Error("housekeeping failed and is tried again", "error", err)
			}
		}
	}
}

// Catchup decides everything that is queued, then every verdict that a change of trust put in doubt, and ends the denials that this makes superfluous.
func (a *Admission) Catchup(ctx context.Context) error {
	if _, err := a.TakeWaivers(ctx); err != nil {
		return err
	}
	if err := a.drain(ctx); err != nil {
		return err
	}
	for {
		t := a.grounds.Load()
		if !t.Denied() {
			return nil
		}
		if err := a.eachManifest(ctx, func(i store.Item, v store.Verdict) bool {
			v.ValidUntil = time.Time{}
			return trust.Judged(v.State) && t.Doubts(i.Repository, v, a.now(), true) != trust.Certain
		}, a.reconsider); err != nil {
			return err
		}
		if err := a.drain(ctx); err != nil {
			return err
		}
		if ended, err := a.endDenials(ctx, t.Seq); err != nil || ended {
			return err
		}
	}
}

// eachManifest pages through all manifests and gives do those that pick chooses, in batches.
func (a *Admission) eachManifest(ctx context.Context, pick func(store.Item, store.Verdict) bool, do func(context.Context, []store.Item) error) error {
	return a.eachHeld(ctx, func(h *store.Held) bool { return pick(h.Item, h.Verdict) }, do)
}

// eachHeld is eachManifest where the kind matters, too.
func (a *Admission) eachHeld(ctx context.Context, pick func(*store.Held) bool, do func(context.Context, []store.Item) error) error {
	var after *store.Item
	for ctx.Err() == nil {
		var page []store.Held
		var picked []store.Item
		if err := a.local.View(ctx, func(s store.Snapshot) error {
			page, picked = s.HeldPage(after, batch), nil
			for i := range page {
				if pick(&page[i]) {
					picked = append(picked, page[i].Item)
				}
			}
			return nil
		}); err != nil {
			return err
		}
		if len(picked) > 0 {
			if err := do(ctx, picked); err != nil {
				return err
			}
		}
		if len(page) < batch {
			return nil
		}
		after = &page[len(page)-1].Item
	}
	return ctx.Err()
}

// reviewers is how many transactions of a review are under way at once: the one verifies while the other is committed.
const reviewers = 2

// reconsider decides manifests again. What cannot be decided is queued, and so in doubt until it can: nothing keeps a denial for the rest.
func (a *Admission) reconsider(ctx context.Context, items []store.Item) error {
	ctx = store.Patient(ctx)
	var mu sync.Mutex
	var failed []store.Item
	var wg sync.WaitGroup
	slots := make(chan struct{}, reviewers)
	for part := range slices.Chunk(items, reviewed) {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			more, _ := a.decidePart(ctx, part) // it is in the log
			mu.Lock()
			defer mu.Unlock()
			failed = append(failed, more...)
		})
	}
	wg.Wait()
	if len(failed) == 0 || ctx.Err() != nil {
		return ctx.Err()
	}
	return a.local.Update(ctx, func(tx *store.Txn) error {
		for _, i := range failed {
			tx.Queue(i)
		}
		return nil
	})
}

// endDenials drops the denials that every verdict has outlived, unless trust changed again meanwhile.
func (a *Admission) endDenials(ctx context.Context, seq uint64) (bool, error) {
	ended := false
	a.trustMu.Lock()
	defer a.trustMu.Unlock()
	err := a.local.Update(ctx, func(tx *store.Txn) error {
		t := a.grounds.Load().clone()
		if ended = t.Seq == seq; !ended {
			return nil
		}
		t.EndDenials()
		t.Seal(tx)
		tx.AfterCommit(func() { a.grounds.Store(t) })
		return nil
	})
	return ended, err
}

// Housekeep looks at the clocks: pending verdicts are retried, quarantine expires, what expired or was deleted is collected after its grace.
func (a *Admission) Housekeep(ctx context.Context) error {
	err := errors.Join(a.clocks(ctx), a.pruneDecisions(ctx), a.pruneWaivers(ctx), a.outbox.Forget(ctx))
	collected, collectErr := a.local.Collect(ctx, store.DefaultCollect())
	if collected != (store.Collected{}) {
		a.log.Info("collected", "links", collected.Links, "contents", collected.Contents, "sessions", collected.Sessions)
	}
	return errors.Join(err, collectErr)
}

// keepDecisions is how long a decision that is no longer a manifest's last can be asked for.
const keepDecisions = 90 * 24 * time.Hour

// pruneDecisions forgets old decisions, but for the one by which a manifest stands where it does. Their ids sort by time.
func (a *Admission) pruneDecisions(ctx context.Context) error {
	until, after := a.local.ID(a.now().Add(-keepDecisions)), ""
	for ctx.Err() == nil {
		var ids []string
		if err := a.local.View(ctx, func(s store.Snapshot) error {
			ids = s.DecisionPage(after, until, batch)
			return nil
		}); err != nil || len(ids) == 0 {
			return err
		}
		if err := a.local.Update(ctx, func(tx *store.Txn) error {
			for _, id := range ids {
				if !a.isLast(tx, id) {
					tx.DropDecision(id)
				}
			}
			return nil
		}); err != nil {
			return err
		}
		after = ids[len(ids)-1]
	}
	return ctx.Err()
}

// isLast reports whether a decision is the last one of its manifest.
func (a *Admission) isLast(tx *store.Txn, id string) bool {
	var r explain.Record
	if json.Unmarshal(tx.Decision(id), &r) != nil {
		return false
	}
	rec, err := tx.Manifest(r.Repository, r.Digest)
	if err != nil || rec == nil {
		return false
	}
	det, err := rec.Detail()
	return err == nil && det.Decision == id
}

// clocks retries what is pending, expires what waited too long, and forgets what is over its grace.
func (a *Admission) clocks(ctx context.Context) error {
	var expired, forgotten []store.Item
	err := a.eachManifest(ctx, func(_ store.Item, v store.Verdict) bool { return v.State != store.StateAdmitted }, func(ctx context.Context, items []store.Item) error {
		retry, e, f := a.due(ctx, items)
		expired, forgotten = append(expired, e...), append(forgotten, f...)
		if len(retry) > 0 {
			return a.reconsider(ctx, retry)
		}
		return nil
	})
	for _, i := range expired {
		err = errors.Join(err, a.expire(ctx, i))
	}
	for _, i := range forgotten {
		err = errors.Join(err, a.forget(ctx, i))
	}
	return errors.Join(err, a.sealAudit(ctx))
}

// due sorts manifests by what their clock asks for.
func (a *Admission) due(ctx context.Context, items []store.Item) (retry, expired, forgotten []store.Item) {
	now := a.now()
	err := a.local.View(ctx, func(s store.Snapshot) error {
		for _, i := range items {
			rec, err := s.Manifest(i.Repository, i.Digest)
			if err != nil || rec == nil {
				continue
			}
			det, err := rec.Detail()
			if err != nil {
				continue
			}
			switch {
			case rec.State == store.StatePending && !now.Before(det.NextAttempt):
				retry = append(retry, i)
			case a.mayExpire(s.Records, i, rec, det, now):
				expired = append(expired, i)
			case a.mayForget(rec, det, now):
				forgotten = append(forgotten, i)
			}
		}
		return nil
	})
	if err != nil {
		a.log.Warn("clocks could not be read", "error", err)
	}
	return retry, expired, forgotten
}

// mayExpire: never admitted, in no admitted index, no tag's visible digest, no evidence of something that is here, and waiting too long.
func (a *Admission) mayExpire(r store.Records, i store.Item, rec *store.ManifestRecord, det *store.Detail, now time.Time) bool {
	waiting := rec.State == store.StateQuarantined || rec.State == store.StatePending || rec.State == store.StateEvidence
	if !waiting || det.EverAdmitted || now.Before(det.Clock.Add(a.o.QuarantineMax)) {
		return false
	}
	for _, subject := range append([]store.Digest{det.Subject}, det.About...) {
		if subject == "" || rec.State != store.StateEvidence {
			continue
		}
		if r.Verdict(i.Repository, subject).State != "" {
			return false // what expired or was deleted may come back, and finds its evidence
		}
	}
	for _, parent := range r.Parents(i.Repository, i.Digest) {
		if r.Verdict(i.Repository, parent).State == store.StateAdmitted {
			return false
		}
	}
	for _, name := range r.TagsOf(i.Repository, i.Digest) {
		if tag, err := r.Tag(i.Repository, name); err != nil || tag != nil && tag.Visible == i.Digest && rec.State != store.StateEvidence {
			return false
		}
	}
	return true
}

// tombstoneReason is how long the reason of a deletion is kept.
const tombstoneReason = 90 * 24 * time.Hour

func (a *Admission) mayForget(rec *store.ManifestRecord, det *store.Detail, now time.Time) bool {
	switch rec.State {
	case store.StateExpired:
		return !now.Before(det.ChangedAt.Add(a.o.QuarantineGrace))
	case store.StateTombstoned:
		return !now.Before(det.ChangedAt.Add(max(a.o.QuarantineGrace, tombstoneReason)))
	}
	return false
}

// expire withdraws a manifest that waited too long. Its tags fall back to what is visible.
func (a *Admission) expire(ctx context.Context, i store.Item) error {
	return a.local.Update(ctx, func(tx *store.Txn) error {
		s, err := a.subject(tx, i)
		if err != nil || s == nil || !a.mayExpire(tx.Records, i, s.rec, s.det, a.now()) {
			return err
		}
		w := &writing{a: a, tx: tx, t: a.trusted(tx), in: &incoming{by: access.System(), repo: i.Repository}, cause: cause{actor: "system", action: "expire"}}
		before := s.rec.State
		if err := w.untag(i.Digest); err != nil {
			return err
		}
		w.withdraw(s.det, i.Digest, append([]store.Digest{}, s.det.About...))
		for _, b := range parsed.Blobs(s.parsed) {
			tx.Shut(i.Repository, b.Digest, i.Digest)
		}
		a.transition(tx, i.Repository, s.rec, s.det, store.StateExpired, AuditRecord{Actor: "system", Action: "expire", Reason: "nothing admitted it in time"})
		s.rec.SetDetail(s.det)
		tx.PutManifest(i.Repository, s.rec)
		more, err := a.dependents(tx, w.t, s, before, false, false)
		if err != nil {
			return err
		}
		_, err = a.settle(ctx, tx, w.t, append(w.seeds, more...), w.cause)
		return err
	})
}

// forget removes the last trace of a manifest; its blobs follow when nothing else references them.
func (a *Admission) forget(ctx context.Context, i store.Item) error {
	return a.local.Update(ctx, func(tx *store.Txn) error {
		s, err := a.subject(tx, i)
		if err != nil || s == nil || !a.mayForget(s.rec, s.det, a.now()) {
			return err
		}
		w := &writing{a: a, tx: tx, t: a.trusted(tx), in: &incoming{by: access.System(), repo: i.Repository}, cause: cause{actor: "system", action: "forget"}}
		if s.rec.State == store.StateExpired {
			w.detach(s)
		}
		tx.DropAlternate(i.Repository, s.det.Alternate)
		pulls.Forget(tx, i)
		tx.DropManifest(i.Repository, i.Digest)
		tx.DropUnused(i.Digest)
		return nil
	})
}

// runPulls writes once a minute, sooner where there is little room left, and at the end.
func (a *Admission) runPulls(ctx context.Context) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last := context.WithoutCancel(ctx)
			if err := errors.Join(a.pulls.Flush(last), a.recent.Flush(last)); err != nil {
				a.log.Warn("what was pulled and asked in the last minute could not be written", "error", err)
			}
			return
		case <-tick.C:
		case <-a.pulls.Wake():
		}
		if err := errors.Join(a.pulls.Flush(ctx), a.recent.Flush(ctx)); err != nil && ctx.Err() == nil {
			a.log.Warn("what was pulled and asked could not be written", "error", err)
		}
	}
}

// FlushPulls writes what was pulled since the last time.
func (a *Admission) FlushPulls(ctx context.Context) error { return a.pulls.Flush(ctx) }

// FlushAsked writes what was asked since the last time.
func (a *Admission) FlushAsked(ctx context.Context) error { return a.recent.Flush(ctx) }
