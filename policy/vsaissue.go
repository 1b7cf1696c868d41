package policy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/outbox"
	"github.com/assay-registry/assay/policy/proof"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/policy/vsa"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// requestVSA has the summary of an image looked at.
func (a *Admission) requestVSA(tx *store.Txn, i store.Item) {
	if key := outbox.SummaryKey(i); !outbox.Waits(tx.Records, key) {
		(&outbox.Work{Item: i, At: a.now()}).Put(tx, key)
	}
	tx.AfterCommit(func() { wake(a.wakeVSA) })
}

// withdrawVSA deletes the summary of a verdict that ended, as the registry's own evidence that it is.
func (a *Admission) withdrawVSA(tx *store.Txn, i store.Item) error {
	old := vsa.Of(tx.Records, i)
	if old == nil {
		return nil
	}
	if err := a.dropEvidence(tx, i.Repository, old.Evidence); err != nil {
		return err
	}
	tx.Space(vsa.Space).Delete(i.Key())
	return nil
}

// dropEvidence deletes a statement of the registry's own. What it said of its subject was never counted, so that nothing is decided again.
func (a *Admission) dropEvidence(tx *store.Txn, repo store.Name, d store.Digest) error {
	rec, err := tx.Manifest(repo, d)
	if err != nil || rec == nil || rec.State == store.StateTombstoned {
		return err // somebody deleted it
	}
	p := access.System()
	w := &writing{a: a, tx: tx, t: a.trusted(tx), in: &incoming{by: p, roles: p.Roles(repo), repo: repo}, cause: cause{actor: p.Name, action: "withdraw"}}
	return w.deleteManifest(d)
}

// withoutVerdicts leaves out the registry's own summaries. They never count: an image would be admitted because it was admitted.
func withoutVerdicts(f *proof.Standing) *proof.Standing {
	f.Facts = slices.DeleteFunc(f.Facts, func(f verify.Fact) bool {
		return f.Authority == verify.ReservedAuthority && f.PredicateType == vsa.Predicate
	})
	return f
}

// vsaRenewal is how often summaries are looked for of which half the time is over.
const vsaRenewal = 10 * time.Minute

// runVSA writes summaries until ctx ends.
func (a *Admission) runVSA(ctx context.Context) {
	if a.o.Verdicts.Key == nil {
		return
	}
	tick := time.NewTicker(sbomBackoff)
	defer tick.Stop()
	renewal := time.NewTicker(vsaRenewal)
	defer renewal.Stop()
	if err := a.ReviewVSAs(ctx); err != nil && ctx.Err() == nil {
		a.log.Error("the summaries of verdicts could not be reviewed; that is done at the next start", "error", err)
	}
	for {
		if err := a.IssueVSAs(ctx); err != nil && ctx.Err() == nil {
			a.log.Error("the summaries of verdicts stopped and are tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-a.wakeVSA:
		case <-renewal.C:
			if err := a.RenewVSAs(ctx); err != nil && ctx.Err() == nil {
				a.log.Error("summaries of verdicts could not be renewed and are tried again", "error", err)
			}
		case <-tick.C:
		}
	}
}

// ReviewVSAs looks at every admitted image where summaries are written otherwise than when the registry last ran.
func (a *Admission) ReviewVSAs(ctx context.Context) error {
	o := a.o.Verdicts
	b, err := json.Marshal([]any{o.All, o.Verifier, o.Host, o.Levels, o.Validity})
	if err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	now, key := hex.EncodeToString(sum[:]), []byte{0}
	same := false
	if err := a.local.View(ctx, func(s store.Snapshot) error {
		same = string(s.Space(vsa.Space).Get(key)) == now
		return nil
	}); err != nil || same {
		return err
	}
	if err := a.eachManifest(ctx, func(_ store.Item, v store.Verdict) bool { return v.State == store.StateAdmitted }, a.requestVSAs); err != nil {
		return err
	}
	return a.local.Update(ctx, func(tx *store.Txn) error {
		tx.Space(vsa.Space).Put(key, []byte(now))
		return nil
	})
}

func (a *Admission) requestVSAs(ctx context.Context, items []store.Item) error {
	return a.local.Update(ctx, func(tx *store.Txn) error {
		for _, i := range items {
			a.requestVSA(tx, i)
		}
		return nil
	})
}

// RenewVSAs asks for the summaries anew of which half the time is over.
func (a *Admission) RenewVSAs(ctx context.Context) error {
	from := []byte{1}
	for ctx.Err() == nil {
		var pairs []store.Pair
		if err := a.local.View(ctx, func(s store.Snapshot) error {
			pairs = s.Space(vsa.Space).Scan(from, nil, batch)
			return nil
		}); err != nil || len(pairs) == 0 {
			return err
		}
		var items []store.Item
		for _, p := range pairs {
			var r vsa.Record
			if i, ok := store.ItemOf(p.Key); ok && (json.Unmarshal(p.Value, &r) != nil || !a.now().Before(r.Due())) {
				items = append(items, i)
			}
		}
		if len(items) > 0 {
			if err := a.requestVSAs(ctx, items); err != nil {
				return err
			}
		}
		from = append(pairs[len(pairs)-1].Key, 0)
	}
	return ctx.Err()
}

// IssueVSAs writes the summaries that are due.
func (a *Admission) IssueVSAs(ctx context.Context) error {
	return a.outbox.Each(ctx, outbox.Summaries, func(key []byte, w *outbox.Work) (bool, error) {
		if w.Failed || a.now().Before(w.Next) {
			return true, nil
		}
		err := a.issue(ctx, w.Item)
		switch {
		case err == nil || ctx.Err() != nil:
			return ctx.Err() == nil, ctx.Err()
		case errors.Is(err, errMoved):
			w.Next = a.now().Add(vsa.Pause)
		default:
			w.Attempts++
			w.Next, w.Reason = a.now().Add(outbox.Delay(w.Attempts)), sentence.Clip(err.Error(), sentence.Max)
			w.Failed = w.Attempts >= maxAttempts
			a.log.Warn("a verdict could not be attested", "repository", w.Item.Repository, "digest", w.Item.Digest, "attempt", w.Attempts, "error", err)
		}
		return true, a.local.Update(ctx, func(tx *store.Txn) error {
			w.Put(tx, key)
			return nil
		})
	})
}

// errMoved: the verdict changed meanwhile, or its summary is too young to be replaced.
var errMoved = errors.New("policy: a summary waits")

// issue makes the summary of an image what its verdict asks for. It judges as it stands now: the decision that is stored may be older than the evidence.
func (a *Admission) issue(ctx context.Context, i store.Item) error {
	if err := a.settled(ctx, i); err != nil {
		return err
	}
	var s *subjectManifest
	var v *verdict
	err := a.local.Update(ctx, func(tx *store.Txn) (err error) {
		v = nil
		if s, err = a.subject(tx, i); err != nil {
			return err
		}
		if s == nil || s.rec.State != store.StateAdmitted || s.rec.Kind == store.KindAttestation {
			return a.endVSA(tx, i)
		}
		if v, err = a.judge(ctx, tx, a.trusted(tx), s); err != nil {
			return err
		}
		if v.state != store.StateAdmitted {
			return errMoved
		}
		if !a.o.Verdicts.Wants(v.decision) {
			v = nil
			return a.endVSA(tx, i)
		}
		old := vsa.Of(tx.Records, i)
		if old == nil || old.Mark != a.o.Verdicts.Mark(v.input, v.decision) || !a.now().Before(old.Due()) {
			if old != nil && a.now().Before(old.At.Add(vsa.Pause)) {
				return errMoved
			}
			return nil
		}
		v = nil
		outbox.Done(tx, outbox.SummaryKey(i))
		return nil
	})
	if err != nil || v == nil {
		return err
	}
	return a.writeVSA(ctx, s, v)
}

// endVSA: the image has no summary, and nothing more is asked.
func (a *Admission) endVSA(tx *store.Txn, i store.Item) error {
	outbox.Done(tx, outbox.SummaryKey(i))
	return a.withdrawVSA(tx, i)
}

// settled has a verdict that is in doubt decided again first.
func (a *Admission) settled(ctx context.Context, i store.Item) error {
	doubt := false
	if err := a.local.View(ctx, func(s store.Snapshot) error {
		doubt = a.grounds.Load().Doubtful(s.Records, a.now(), i, s.Verdict(i.Repository, i.Digest))
		return nil
	}); err != nil || !doubt {
		return err
	}
	return a.review(ctx, []store.Item{i})
}

// writeVSA signs and stores a summary as a referrer, replaces the one before, and ends the work, in one commit that fails if the verdict is another by then.
func (a *Admission) writeVSA(ctx context.Context, s *subjectManifest, v *verdict) error {
	o, now := a.o.Verdicts, a.now()
	i := store.Item{Repository: s.repo, Digest: s.rec.Digest}
	sum := o.Summarize(v.input, v.decision, now)
	at, err := o.Sign(sum, s.repo, s.rec.Descriptor())
	if err != nil {
		return err
	}
	for _, b := range at.Blobs {
		if _, err := a.local.PutBlob(ctx, s.repo, b); err != nil {
			return err
		}
	}
	in, err := receive(access.System(), s.repo, []store.Reference{{Digest: at.Descriptor.Digest}}, &store.Manifest{Descriptor: at.Descriptor, Bytes: at.Manifest})
	if err != nil {
		return err
	}
	in.registry = &proof.Known{Found: verify.FoundReferrers, Registry: true, At: now, Facts: []verify.Fact{{Evidence: in.digest, Found: verify.FoundReferrers, Kind: verify.KindAttestation,
		Scheme: verify.SchemeDSSE, Verified: true, Authority: verify.ReservedAuthority, PredicateType: vsa.Predicate}}}
	record, err := json.Marshal(vsa.Record{Evidence: in.digest, Mark: o.Mark(v.input, v.decision), At: now, Expires: sum.Verdict.Expires})
	if err != nil {
		return err
	}
	in.then = func(tx *store.Txn) error {
		rec, err := tx.Manifest(i.Repository, i.Digest)
		if err != nil {
			return err
		}
		if rec == nil || a.trusted(tx).Doubtful(tx.Records, a.now(), i, rec.Verdict()) || rec.State != store.StateAdmitted {
			return errMoved
		}
		if det, err := rec.Detail(); err != nil || !det.DecidedAt.Equal(s.det.DecidedAt) {
			return errors.Join(errMoved, err)
		}
		if old := vsa.Of(tx.Records, i); old != nil && old.Evidence != in.digest {
			if err := a.dropEvidence(tx, i.Repository, old.Evidence); err != nil {
				return err
			}
		}
		tx.Space(vsa.Space).Put(i.Key(), record)
		outbox.Done(tx, outbox.SummaryKey(i))
		return nil
	}
	_, err = a.put(ctx, in)
	return err
}
