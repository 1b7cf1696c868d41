package policy

import (
	"context"

	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/store"
)

// DeleteBlob takes a blob out of the repository, unless a manifest there references it.
func (v *view) DeleteBlob(ctx context.Context, repo store.Name, d store.Digest) error {
	if err := v.mayDelete(repo, unknownBlob()); err != nil {
		return v.refusedWrite(ctx, repo, d, err)
	}
	return v.a.local.Update(ctx, func(tx *store.Txn) error {
		link, err := tx.Blob(repo, d)
		if err != nil {
			return err
		}
		if link == nil {
			return unknownBlob()
		}
		if len(tx.ReferencedBy(repo, d, 1)) > 0 {
			return store.Errorf(store.CodeUnsupported, "the blob is part of a manifest in %s; delete that manifest, and the blob is collected", repo)
		}
		tx.UnlinkBlob(repo, d)
		return nil
	})
}

// mayDelete answers someone who may read here 403, and everyone else as if nothing were there.
func (v *view) mayDelete(repo store.Name, missing error) error {
	if v.p.Authenticated() && v.p.Roles(repo) != 0 {
		missing = store.Errorf(store.CodeDenied, "you may not delete in %s; ask for the role delete there", repo)
	}
	return v.may(repo, RoleDelete|RoleAdmin, ActionDelete, missing)
}

// DeleteManifest removes a tag, or a manifest with all its tags. Deleting evidence withdraws what it proved before this returns.
func (v *view) DeleteManifest(ctx context.Context, repo store.Name, ref store.Reference) error {
	if err := v.mayDelete(repo, unknownManifest()); err != nil {
		return v.refusedWrite(ctx, repo, ref.Digest, err)
	}
	err := v.a.local.Update(ctx, func(tx *store.Txn) error {
		w := &writing{a: v.a, tx: tx, t: v.a.trusted(tx), in: &incoming{by: v.p, repo: repo}, cause: cause{v.p.Name, "delete"}}
		var err error
		if ref.Tag != "" {
			err = w.deleteTag(ref.Tag)
		} else {
			err = w.deleteManifest(ref.Digest)
		}
		if err != nil {
			return err
		}
		return v.a.settle(ctx, tx, w.t, w.seeds, w.cause)
	})
	if err != nil {
		return err
	}
	return v.a.drain(ctx)
}

// deleteTag removes a tag; a reserved one takes along every fact that was recorded under it.
func (w *writing) deleteTag(name string) error {
	tag, err := w.tx.Tag(w.in.repo, name)
	if err != nil {
		return err
	}
	if tag == nil {
		return unknownManifest()
	}
	w.tx.DeleteTag(w.in.repo, name, tag)
	w.a.audit(w.tx, AuditRecord{Actor: w.cause.actor, Action: "delete", Repository: w.in.repo, Tag: name, Digest: tag.Current})
	if _, ok := referrers.ParseTag(name); !ok {
		return nil
	}
	for _, d := range w.tx.StoodUnder(w.in.repo, name) {
		w.tx.DropStood(w.in.repo, name, d)
		rec, err := w.tx.Manifest(w.in.repo, d)
		if err != nil {
			return err
		}
		if rec == nil {
			continue
		}
		det, err := rec.Detail()
		if err != nil {
			return err
		}
		w.withdraw(det, d, append([]store.Digest{}, det.About...))
		rec.SetDetail(det)
		w.tx.PutManifest(w.in.repo, rec)
	}
	return nil
}

// deleteManifest turns a manifest into a tombstone and takes it out of everything that points to it.
func (w *writing) deleteManifest(d store.Digest) error {
	repo := w.in.repo
	s, err := w.a.subject(w.tx, store.Item{Repository: repo, Digest: d})
	if err != nil {
		return err
	}
	if s == nil || s.rec.State == store.StateTombstoned {
		return unknownManifest()
	}
	if s.rec.State == store.StateRevoked && !w.in.by.Roles(repo).Has(RoleAdmin) {
		return store.Errorf(store.CodeDenied, "the manifest is revoked: only an administrator deletes it")
	}
	before := s.rec.State
	if err := w.untag(d); err != nil {
		return err
	}
	w.detach(s)
	w.a.transition(w.tx, repo, s.rec, s.det, store.StateTombstoned, AuditRecord{Actor: w.cause.actor, Action: w.cause.action})
	s.det.Reason, s.det.Code = "deleted by "+w.cause.actor, "state.deleted"
	s.rec.SetDetail(s.det)
	w.tx.PutManifest(repo, s.rec)
	for _, i := range w.a.dependents(w.tx, w.t, s, before) {
		if i.Digest != d {
			w.seeds = append(w.seeds, i)
		}
	}
	return nil
}

// untag removes the manifest from its tags: where it was current, the visible digest takes over, or the tag goes.
func (w *writing) untag(d store.Digest) error {
	for _, name := range w.tx.TagsOf(w.in.repo, d) {
		tag, err := w.tx.Tag(w.in.repo, name)
		if err != nil {
			return err
		}
		if tag == nil {
			continue
		}
		now := *tag
		if now.Visible == d {
			now.Visible, now.Denied = "", false
		}
		if now.Current == d {
			now.Current, now.CurrentAt, now.Reason, now.Code = now.Visible, w.a.now(), "", ""
		}
		if now.Current == "" {
			w.tx.DeleteTag(w.in.repo, name, tag)
		} else {
			w.tx.PutTag(w.in.repo, name, tag, &now)
		}
	}
	return nil
}

// detach removes what a manifest contributes: openings, references, parents, its edge and its facts, its own SBOM.
func (w *writing) detach(s *subjectManifest) {
	repo, d := w.in.repo, s.rec.Digest
	for _, b := range blobsOf(s.parsed) {
		w.tx.Shut(repo, b.Digest, d)
		w.tx.DropReference(repo, b.Digest, d)
	}
	for _, m := range s.parsed.Manifests {
		w.tx.DropParent(repo, m.Digest, d)
	}
	if s.det.Subject != "" {
		w.tx.DropEdge(repo, s.det.Subject, d)
	}
	for _, tag := range s.det.Stood {
		w.tx.DropStood(repo, tag, d)
	}
	w.withdraw(s.det, d, append([]store.Digest{}, s.det.About...))
	w.tx.DropSBOMWork(store.Item{Repository: repo, Digest: d})
	w.a.dropSBOM(w.tx, repo, d)
}
