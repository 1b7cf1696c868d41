package policy

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/policy/sight"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/store"
)

// refusedChange leaves the audit record of a change of trust that was refused to someone who may write somewhere it would have reached.
func (a *Admission) refusedChange(ctx context.Context, p access.Principal, r AuditRecord, err error) error {
	if store.CodeOf(err) != store.CodeDenied || !p.Authenticated() || !slices.ContainsFunc(p.Grants, func(g access.Grant) bool { return g.Roles.Has(access.RolesAudited) }) {
		return err
	}
	r.Actor, r.Action, r.Reason = p.Name, "refuse", sentence.Clip(err.Error(), sentence.Max)
	if auditErr := a.local.Update(ctx, func(tx *store.Txn) error {
		a.audit(tx, r)
		return nil
	}); auditErr != nil {
		a.log.Error("a refusal could not be recorded", "actor", p.Name, "error", auditErr)
	}
	return err
}

// Revocations lists the records in force.
func (a *Admission) Revocations(_ context.Context, p access.Principal) ([]trust.Revocation, error) {
	if err := p.MayAdminister("**"); err != nil {
		return nil, err
	}
	return a.Trust().Revocations(), nil
}

// Revoke withdraws a digest of a manifest or a blob, by either algorithm, whatever evidence there is. When it returns, no pull serves it.
func (a *Admission) Revoke(ctx context.Context, p access.Principal, r trust.Revocation) (*trust.Revocation, error) {
	if r.Repository == "" {
		r.Repository = "**"
	}
	if _, err := store.ParseGlob(string(r.Repository)); err != nil {
		return nil, err
	}
	if _, err := store.ParseDigest(string(r.Digest)); err != nil {
		return nil, err
	}
	if len(r.Reason) > 300 {
		return nil, store.Errorf(store.CodeInvalid, "the reason of a revocation has at most 300 characters")
	}
	if err := p.MayAdminister(r.Repository); err != nil {
		return nil, a.refusedChange(ctx, p, AuditRecord{Digest: r.Digest}, err)
	}
	r.At, r.By = a.now(), p.Name
	r.ID = "R-" + a.local.ID(r.At)
	err := a.change(ctx, func(tx *store.Txn, t *grounds) error {
		if err := t.Revoke(tx, r); err != nil {
			return err
		}
		a.audit(tx, AuditRecord{Actor: p.Name, Action: "revoke", Digest: r.Digest, Reason: r.Reason})
		return a.reconsiderAll(tx, t, r)
	})
	if err != nil {
		return nil, err
	}
	return &r, a.drain(ctx)
}

// Lift ends a revocation; what it covered is decided anew. Errors: CodeNotFound.
func (a *Admission) Lift(ctx context.Context, p access.Principal, id string) error {
	if err := a.change(ctx, func(tx *store.Txn, t *grounds) error {
		r, err := t.Lift(tx, p, id)
		if err != nil {
			return err
		}
		a.audit(tx, AuditRecord{Actor: p.Name, Action: "lift", Digest: r.Digest, Reason: r.ID})
		return a.reconsiderAll(tx, t, r)
	}); err != nil {
		return a.refusedChange(ctx, p, AuditRecord{Reason: id}, err)
	}
	return a.drain(ctx)
}

// reconsiderAll queues, and so puts in doubt, the manifests whose state a revocation decides, and what they prove as evidence or refer to.
func (a *Admission) reconsiderAll(tx *store.Txn, t *grounds, r trust.Revocation) error {
	for _, i := range affected(tx, r) {
		tx.Queue(i)
		rec, err := tx.Manifest(i.Repository, i.Digest)
		if err != nil || rec == nil {
			continue // whoever decides it finds out
		}
		det, err := rec.Detail()
		if err != nil {
			continue
		}
		if det.Subject != "" && !det.Registry && t.Engine.Traits(i.Repository).Referrers {
			tx.Queue(store.Item{Repository: i.Repository, Digest: det.Subject})
		}
		if rec.Kind != store.KindEvidence {
			continue
		}
		for _, d := range det.About {
			for _, about := range a.about(tx, i.Repository, d) {
				tx.Queue(about)
			}
		}
	}
	return nil
}

// affected are the manifests whose state a revocation decides: those of that digest, and those that reference the blob, whether it is there or not.
func affected(tx *store.Txn, r trust.Revocation) []store.Item {
	items := tx.Alternates(r.Digest)
	for _, n := range tx.RepositoriesOf(r.Digest, 'm', scanLimit) {
		items = append(items, store.Item{Repository: n, Digest: r.Digest})
	}
	items = slices.DeleteFunc(items, func(i store.Item) bool { return !r.Repository.Match(i.Repository) })
	for after := ""; ; {
		names := tx.RepositoryPage(after, maxPage)
		for _, n := range names {
			if after = string(n); !r.Repository.Match(n) {
				continue
			}
			for _, m := range tx.ReferencedBy(n, r.Digest, scanLimit) {
				items = append(items, store.Item{Repository: n, Digest: m})
			}
		}
		if len(names) < maxPage {
			return items
		}
	}
}

// Restore brings expired content back into quarantine, and expired evidence back among what counts, with a new clock.
// Errors: CodeManifestUnknown, CodeConflict.
func (a *Admission) Restore(ctx context.Context, p access.Principal, repo store.Name, d store.Digest) error {
	if err := p.MayAdminister(store.Glob(repo)); err != nil {
		return a.refusedChange(ctx, p, AuditRecord{Repository: repo, Digest: d}, err)
	}
	queued := false
	if err := a.local.Update(ctx, func(tx *store.Txn) error {
		s, err := a.subject(tx, store.Item{Repository: repo, Digest: d})
		if err != nil {
			return err
		}
		if s == nil {
			return sight.Unknown()
		}
		if s.rec.State != store.StateExpired {
			return store.Errorf(store.CodeConflict, "the manifest is %s: only expired content is restored", s.rec.State)
		}
		w := &writing{a: a, tx: tx, t: a.trusted(tx), cause: cause{actor: p.Name, action: "restore"}, kind: s.rec.Kind, seeds: []store.Item{{Repository: repo, Digest: d}},
			in: &incoming{by: p, repo: repo, digest: d, alternate: s.det.Alternate, parsed: s.parsed}}
		s.det.Clock = a.now()
		to := store.StateQuarantined
		if w.kind == store.KindEvidence {
			to = store.StateEvidence
			for _, name := range s.det.Stood {
				if tag, ok := referrers.ParseTag(name); ok {
					w.in.reserved = append(w.in.reserved, tag)
				}
			}
		}
		a.transition(tx, repo, s.rec, s.det, to, AuditRecord{Actor: p.Name, Action: "restore"})
		s.rec.SetDetail(s.det)
		tx.PutManifest(repo, s.rec)
		if err := a.openBlobs(tx, s); err != nil {
			return err
		}
		if err := w.evidence(ctx, s.rec, s.det); err != nil {
			return err
		}
		err = w.settle(ctx)
		queued = w.queued
		return err
	}); err != nil {
		return err
	}
	if queued {
		return a.drain(ctx)
	}
	return nil
}

// Audit lists audit records after the given key, oldest first.
func (a *Admission) Audit(ctx context.Context, p access.Principal, after string, limit int) (store.Page[AuditRecord], error) {
	var page store.Page[AuditRecord]
	if err := p.MayAdminister("**"); err != nil {
		return page, err
	}
	limit = bounded(limit)
	err := a.local.View(ctx, func(s store.Snapshot) error {
		page = store.Page[AuditRecord]{}
		for _, pair := range s.AuditPage(after, limit) {
			var r AuditRecord
			if err := json.Unmarshal(pair.Value, &r); err != nil {
				return store.Errorf(store.CodeInternal, "an audit record is damaged; run assay check: %w", err)
			}
			page.Items, page.Next = append(page.Items, r), string(pair.Key)
		}
		return nil
	})
	if len(page.Items) < limit {
		page.Next = ""
	}
	return page, err
}

func (a *Admission) audit(tx *store.Txn, r AuditRecord) {
	r.At = a.now()
	b, err := json.Marshal(r)
	if err != nil {
		panic("policy: an audit record that does not marshal") // strings and times
	}
	tx.Audit(r.At, b)
}
