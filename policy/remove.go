package policy

import (
	"context"
	"slices"
	"strings"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/moves"
	"github.com/assay-registry/assay/policy/parsed"
	"github.com/assay-registry/assay/policy/sight"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/store"
)

// DeleteBlob takes a blob out of the repository, unless a manifest there references it.
func (v *view) DeleteBlob(ctx context.Context, repo store.Name, d store.Digest) error {
	if err := v.mayDelete(repo, sight.UnknownBlob()); err != nil {
		return v.refusedWrite(ctx, repo, d, err)
	}
	if err := v.keeps(ctx, repo, store.Reference{Digest: d}); err != nil {
		return err
	}
	err := v.a.local.Update(ctx, func(tx *store.Txn) error {
		link, err := tx.Blob(repo, d)
		if err != nil {
			return err
		}
		if link == nil {
			return sight.UnknownBlob()
		}
		if len(tx.ReferencedBy(repo, d, 1)) > 0 {
			return store.Errorf(store.CodeUnsupported, "the blob is part of a manifest in %s; delete that manifest, and the blob is collected", repo)
		}
		tx.UnlinkBlob(repo, d)
		tx.DropUnused(d) // what the KV holds of it; files are the collector's
		return nil
	})
	if err != nil {
		return v.refusedWrite(ctx, repo, d, err)
	}
	return nil
}

// mayDelete answers someone who may read here 403, and everyone else as if nothing were there.
func (v *view) mayDelete(repo store.Name, missing error) error {
	if v.p.Authenticated() && v.p.Roles(repo) != 0 {
		missing = store.Errorf(store.CodeDenied, "you may not delete in %s; ask for the role delete there", repo)
	}
	return v.p.May(repo, access.RoleDelete|access.RoleAdmin, access.ActionDelete, missing)
}

// keeps refuses where deletions are off, whoever asks, and leaves a record of who did.
func (v *view) keeps(ctx context.Context, repo store.Name, ref store.Reference) error {
	if !v.a.rule(repo).NoDelete {
		return nil
	}
	err := store.Errorf(store.CodeUnsupported, "nothing is deleted in %s: deletions are off there; what must not be pulled is revoked, and deletions: allow in the configuration turns them on", repo)
	if !v.p.Authenticated() {
		return err
	}
	if failed := v.a.local.Update(ctx, func(tx *store.Txn) error {
		v.a.audit(tx, AuditRecord{Actor: v.p.Name, Action: "refuse", Repository: repo, Tag: ref.Tag, Digest: ref.Digest, Reason: err.Error()})
		return nil
	}); failed != nil {
		v.a.log.Error("a refusal could not be recorded", "repository", repo, "error", failed)
	}
	return err
}

// DeleteManifest removes a tag, or a manifest with all its tags. Deleting evidence withdraws what it proved before this returns.
func (v *view) DeleteManifest(ctx context.Context, repo store.Name, ref store.Reference) error {
	if err := v.mayDelete(repo, sight.Unknown()); err != nil {
		return v.refusedWrite(ctx, repo, ref.Digest, err)
	}
	if err := v.keeps(ctx, repo, ref); err != nil {
		return err
	}
	queued := false
	err := v.a.local.Update(ctx, func(tx *store.Txn) error {
		w := &writing{a: v.a, tx: tx, t: v.a.trusted(tx), in: &incoming{by: v.p, roles: v.p.Roles(repo), repo: repo}, cause: cause{actor: v.p.Name, action: "delete"}}
		err := w.delete(ctx, ref)
		queued = w.queued
		return err
	})
	if err != nil {
		return v.refusedWrite(ctx, repo, ref.Digest, err)
	}
	if queued {
		return v.a.drain(ctx)
	}
	return nil
}

func (w *writing) delete(ctx context.Context, ref store.Reference) error {
	about, err := w.aboutOf(ref)
	if err != nil {
		return err
	}
	before, err := w.denials(ctx, about)
	if err != nil {
		return err
	}
	if ref.Tag != "" {
		err = w.deleteTag(ref.Tag)
	} else {
		err = w.deleteManifest(ref.Digest)
	}
	if err != nil {
		return err
	}
	if err := w.settle(ctx); err != nil {
		return err
	}
	after, err := w.denials(ctx, about)
	if err != nil {
		return err
	}
	for d, n := range before {
		if after[d] < n {
			return store.Errorf(store.CodeDenied, "this evidence denies %s@%s: only an administrator withdraws it", w.in.repo, d)
		}
	}
	return nil
}

// aboutOf lists the manifests whose evidence a deletion withdraws.
func (w *writing) aboutOf(ref store.Reference) ([]store.Digest, error) {
	if tag, reserved := referrers.ParseTag(ref.Tag); reserved {
		return w.stoodAbout(tag)
	}
	if ref.Tag != "" {
		return nil, nil
	}
	rec, err := w.tx.Manifest(w.in.repo, ref.Digest)
	if err != nil || rec == nil {
		return nil, err
	}
	det, err := rec.Detail()
	if err != nil {
		return nil, err
	}
	about := w.referredTo(det)
	if rec.Kind != store.KindEvidence {
		return about, nil
	}
	about = append(about, det.About...)
	for _, name := range det.Stood {
		if tag, reserved := referrers.ParseTag(name); reserved {
			more, err := w.stoodAbout(tag)
			if err != nil {
				return nil, err
			}
			about = append(about, more...)
		}
	}
	return about, nil
}

// stoodAbout lists the manifests that a reserved tag names and that something under it is about.
func (w *writing) stoodAbout(tag referrers.Tag) (about []store.Digest, err error) {
	err = w.eachStood(tag, func(_ *store.ManifestRecord, det *store.Detail) {
		for _, d := range det.About {
			if tag.Names(d) && !slices.Contains(about, d) {
				about = append(about, d)
			}
		}
	})
	return about, err
}

// eachStood goes through the manifests that stood under a reserved tag.
func (w *writing) eachStood(tag referrers.Tag, fn func(rec *store.ManifestRecord, det *store.Detail)) error {
	for _, d := range w.tx.StoodUnder(w.in.repo, tag.String()) {
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
		fn(rec, det)
	}
	return nil
}

// denials counts, for whoever is no administrator, how many reasons the policies have against each manifest: what lessens them was evidence that denies.
func (w *writing) denials(ctx context.Context, about []store.Digest) (map[store.Digest]int, error) {
	if w.in.roles.Has(access.RoleAdmin) {
		return nil, nil
	}
	counts := map[store.Digest]int{}
	for _, d := range about {
		s, err := w.a.subject(w.tx, store.Item{Repository: w.in.repo, Digest: d})
		if err != nil {
			return nil, err
		}
		if s == nil || !trust.Judged(s.rec.State) {
			continue
		}
		v, err := w.a.judge(ctx, w.tx, w.t, s)
		if err != nil {
			return nil, err
		}
		if v.decision != nil {
			counts[d] = len(v.decision.Deny)
		}
	}
	return counts, nil
}

// deleteTag removes a tag; a reserved one takes along every fact that was recorded under it.
func (w *writing) deleteTag(name string) error {
	tag, err := w.tx.Tag(w.in.repo, name)
	if err != nil {
		return err
	}
	admin := w.in.by.Roles(w.in.repo).Has(access.RoleAdmin)
	if tag == nil {
		if admin && w.tx.Doc(classBound, boundName(w.in.repo, name)) != nil {
			w.tx.DeleteDoc(classBound, boundName(w.in.repo, name))
			w.a.audit(w.tx, AuditRecord{Actor: w.cause.actor, Action: "delete", Repository: w.in.repo, Tag: name, Reason: "the name was freed"})
			return nil
		}
		return sight.Unknown()
	}
	w.tx.DeleteTag(w.in.repo, name, tag)
	moves.Forget(w.tx, w.in.repo, name)
	if admin {
		w.tx.DeleteDoc(classBound, boundName(w.in.repo, name))
	} else {
		w.bind(name, tag.Visible)
	}
	w.a.audit(w.tx, AuditRecord{Actor: w.cause.actor, Action: "delete", Repository: w.in.repo, Tag: name, Digest: tag.Current})
	if reserved, ok := referrers.ParseTag(name); ok {
		w.cause.by = tag.Current
		return w.withdrawStood(reserved)
	}
	return nil
}

// classBound holds, for each tag that was deleted after it had shown something, what that was: a rule that tags do not move is not to be
// escaped by deleting the tag first. An administrator who deletes the tag, or its name once more, frees it.
const classBound = "bound"

func boundName(repo store.Name, tag string) string { return string(repo) + ":" + tag }

// bind remembers what a tag showed.
func (w *writing) bind(name string, visible store.Digest) {
	if _, reserved := referrers.ParseTag(name); visible != "" && !reserved {
		w.tx.PutDoc(classBound, boundName(w.in.repo, name), []byte(`"`+string(visible)+`"`))
	}
}

// shown is what a tag shows or, while it shows nothing, what it last showed before it was deleted.
func shown(tx *store.Txn, repo store.Name, name string, tag *store.TagRecord) store.Digest {
	if tag != nil && tag.Visible != "" {
		return tag.Visible
	}
	return store.Digest(strings.Trim(string(tx.Doc(classBound, boundName(repo, name))), `"`))
}

// withdrawStood takes back every fact that was recorded under a reserved tag. What the same manifests prove about their own subjects, if the tag does not
// name those, stays.
func (w *writing) withdrawStood(tag referrers.Tag) error {
	return w.eachStood(tag, func(rec *store.ManifestRecord, det *store.Detail) {
		var about []store.Digest
		for _, d := range det.About {
			if tag.Names(d) {
				about = append(about, d)
			}
		}
		w.tx.DropStood(w.in.repo, tag.String(), rec.Digest)
		det.Stood = slices.DeleteFunc(det.Stood, func(name string) bool { return name == tag.String() })
		w.withdraw(det, rec.Digest, about)
		rec.SetDetail(det)
		w.tx.PutManifest(w.in.repo, rec)
	})
}

// deleteManifest turns a manifest into a tombstone and takes it out of everything that points to it.
func (w *writing) deleteManifest(d store.Digest) error {
	repo := w.in.repo
	w.cause.by = d
	s, err := w.a.subject(w.tx, store.Item{Repository: repo, Digest: d})
	if err != nil {
		return err
	}
	if s == nil || s.rec.State == store.StateTombstoned {
		return sight.Unknown()
	}
	if (s.rec.State == store.StateRevoked || w.a.withdrawn(w.t, s) != nil) && !w.in.roles.Has(access.RoleAdmin) {
		return store.Errorf(store.CodeDenied, "the manifest is revoked: only an administrator deletes it")
	}
	before := s.rec.State
	if err := w.untag(d); err != nil {
		return err
	}
	for _, name := range s.det.Stood {
		if tag, ok := referrers.ParseTag(name); ok {
			if err := w.withdrawStood(tag); err != nil { // cosign rewrites all that stood there before
				return err
			}
		}
	}
	if s, err = w.a.subject(w.tx, store.Item{Repository: repo, Digest: d}); err != nil {
		return err
	}
	w.detach(s)
	w.a.transition(w.tx, repo, s.rec, s.det, store.StateTombstoned, AuditRecord{Actor: w.cause.actor, Action: w.cause.action})
	s.det.Reason, s.det.Code = "deleted by "+w.cause.actor, "state.deleted"
	s.rec.SetDetail(s.det)
	w.tx.PutManifest(repo, s.rec)
	more, err := w.a.dependents(w.tx, w.t, s, before, false, false)
	w.seeds = append(w.seeds, slices.DeleteFunc(more, func(i store.Item) bool { return i.Digest == d })...)
	return err
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
			w.bind(name, d)
			now.Visible, now.Denied = "", false
			w.seeds = append(w.seeds, store.Item{Repository: w.in.repo, Digest: tag.Current}) // the tag may show that now
		}
		if now.Current == d {
			now.Current, now.CurrentAt, now.Reason, now.Code = now.Visible, w.a.now(), "", ""
		}
		if now.Current == "" {
			w.tx.DeleteTag(w.in.repo, name, tag)
			moves.Forget(w.tx, w.in.repo, name)
		} else {
			w.tx.PutTag(w.in.repo, name, tag, &now)
		}
	}
	return nil
}

// detach removes what a manifest contributes: openings, references, parents, its edge and its facts, its own SBOM.
func (w *writing) detach(s *subjectManifest) {
	repo, d := w.in.repo, s.rec.Digest
	for _, b := range parsed.Blobs(s.parsed) {
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
	w.a.dropInventory(w.tx, store.Item{Repository: repo, Digest: d})
}
