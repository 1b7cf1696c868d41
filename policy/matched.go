package policy

import (
	"context"
	"slices"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/findings"
	"github.com/assay-registry/assay/policy/outbox"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/store"
)

// noteFindings has what is known of an image's vulnerabilities compared with what was, in the transaction of what may have changed it, and tells whoever wants to know. It reports whether anything
// that a policy could read is not as it was.
func (a *Admission) noteFindings(tx *store.Txn, i store.Item) (changed bool, err error) {
	rec, err := tx.Manifest(i.Repository, i.Digest)
	if err != nil {
		return false, err
	}
	if rec == nil || !trust.Judged(rec.State) || rec.Kind != store.KindImage {
		vulns.Forget(tx, i)
		return false, nil
	}
	news, err := findings.Compare(tx, i)
	if err != nil || news.Text == "" {
		return news.Changed, err
	}
	det, err := rec.Detail()
	if err != nil {
		return false, err
	}
	a.audit(tx, AuditRecord{Actor: "system", Action: "vulnerabilities", Repository: i.Repository, Digest: i.Digest, Reason: news.Text})
	e := a.outbox.Event(outbox.EventVulnerabilities, i, det, rec.State, rec.State)
	e.Data.Added, e.Data.Removed, e.Data.Counts, e.Data.Reason = news.Added, news.Removed, news.Counts, news.Text
	a.outbox.Tell(tx, e)
	return true, nil
}

// noteExcuses does the same for what statements say of findings, when a verdict was made of it.
func (a *Admission) noteExcuses(tx *store.Txn, s *subjectManifest, v *verdict) error {
	if v.input == nil || v.input.Vulnerabilities == nil || v.input.Vulnerabilities.Origin != contract.VulnerabilitiesMatched {
		return nil
	}
	i := store.Item{Repository: s.repo, Digest: s.rec.Digest}
	reason, err := findings.Excused(tx, i, v.input.Vulnerabilities)
	if err != nil || reason == "" {
		return err
	}
	a.audit(tx, AuditRecord{Actor: "system", Action: "vulnerabilities", Repository: i.Repository, Digest: i.Digest, Reason: reason})
	e := a.outbox.Event(outbox.EventVulnerabilities, i, s.det, s.rec.State, s.rec.State)
	e.Data.Reason = reason
	a.outbox.Tell(tx, e)
	return nil
}

// VulnerabilitiesChanged is [vulns.Listener]: it has every image decided again of which other findings are known now, where a policy reads them, and no other. It may be told of a change
// more than once.
func (a *Admission) VulnerabilitiesChanged(ctx context.Context, d vulns.Delta) error {
	err := inParts(d.Queued, drained, func(items []store.Item) error { return a.reassess(ctx, items, false) })
	for after := uint32(0); err == nil && d.Images != nil && !d.Images.IsEmpty(); {
		var page []index.Numbered
		if err = a.local.View(ctx, func(s store.Snapshot) error {
			page, err = index.ImagesOf(s.Records, d.Images, after, drained)
			return err
		}); err != nil || len(page) == 0 {
			break
		}
		items := make([]store.Item, len(page))
		for n, one := range page {
			items[n] = one.Image
		}
		err, after = a.reassess(ctx, items, false), page[len(page)-1].Number
	}
	if err == nil && d.Database != "" {
		err = a.reopen(ctx, &d)
	}
	return err
}

func inParts(items []store.Item, size int, do func([]store.Item) error) error {
	for part := range slices.Chunk(items, size) {
		if err := do(part); err != nil {
			return err
		}
	}
	return nil
}

// reassess notes what is known of some images now, and queues those of which a policy is to be asked again: where something is not as it was, or all.
func (a *Admission) reassess(ctx context.Context, items []store.Item, all bool) error {
	return a.local.Update(ctx, func(tx *store.Txn) error {
		t := a.trusted(tx)
		for _, i := range items {
			changed, err := a.noteFindings(tx, i)
			if err != nil {
				return err
			}
			if (changed || all) && t.Engine.Traits(i.Repository).Vulnerabilities {
				tx.Queue(i)
				tx.AfterCommit(func() { wake(a.wakeReview) })
			}
		}
		return nil
	})
}

// reopen queues what was refused for want of a report, or of a database that speaks of it or is young enough: another one is there now, and what it finds there may be nothing, as before. Where
// databases know less than before, or from an older source, what was admitted without a finding is queued, too.
func (a *Admission) reopen(ctx context.Context, d *vulns.Delta) error {
	engine := a.grounds.Load().Engine
	var after *store.Item
	for ctx.Err() == nil {
		var page, waiting []store.Item
		if err := a.local.View(ctx, func(s store.Snapshot) error {
			page, waiting = s.ManifestPage(after, batch), nil
			for _, i := range page {
				state := s.Verdict(i.Repository, i.Digest).State
				if d.Narrowed || d.Widened {
					if state == store.StateQuarantined || state == store.StateAdmitted {
						waiting = append(waiting, i)
					}
				} else if state == store.StateQuarantined && engine.Traits(i.Repository).Vulnerabilities {
					waiting = append(waiting, i)
				}
			}
			return nil
		}); err != nil {
			return err
		}
		if err := inParts(waiting, drained, func(items []store.Item) error {
			if d.Narrowed || d.Widened {
				if err := a.reassess(ctx, items, d.Narrowed); err != nil {
					return err
				}
			}
			return a.reopenPart(ctx, items)
		}); err != nil {
			return err
		}
		if len(page) < batch {
			return nil
		}
		after = &page[len(page)-1]
	}
	return ctx.Err()
}

func (a *Admission) reopenPart(ctx context.Context, items []store.Item) error {
	return a.local.Update(ctx, func(tx *store.Txn) error {
		t := a.trusted(tx)
		for _, i := range items {
			rec, err := tx.Manifest(i.Repository, i.Digest)
			if err != nil || rec == nil || rec.State != store.StateQuarantined {
				continue
			}
			if det, err := rec.Detail(); err == nil && t.Engine.Traits(i.Repository).Vulnerabilities && slices.Contains([]string{"vuln.missing", "vuln.uncovered", "vuln.uncovered_language", "vuln.db_too_old"}, det.Code) {
				tx.Queue(i)
				tx.AfterCommit(func() { wake(a.wakeReview) })
			}
		}
		return nil
	})
}
