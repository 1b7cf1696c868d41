package policy

import (
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/store"
)

// A large index is admitted after its children. What is proven of it counts for them as soon as its own verdict is made: they are decided from the queue, in
// batches, while the index is staged: it waits in the queue itself, and so in doubt. When none of them waits any more it is admitted, its tags show it, and the
// answer to whoever signed it follows. The queue and the mark are in the store: a restart goes on.

// stage holds back the admission of an index with more children than one transaction decides, as long as they are not decided. It reports whether it did.
func (w *settling) stage(i store.Item, s *subjectManifest, v *verdict) bool {
	if v.state != store.StateAdmitted || s.rec.State == store.StateAdmitted || v.revision == "" || !s.parsed.Index() || len(s.parsed.Manifests) < batch ||
		w.t.Engine.Traits(s.repo).AllChildren {
		return false
	}
	again := !s.det.Staged || s.det.Revision != v.revision
	if !again && !w.childrenWait(s) {
		return false
	}
	s.rec.Seq, s.rec.ValidUntil = w.t.Seq, v.validUntil
	s.det.Staged, s.det.Revision, s.det.DecidedAt = true, v.revision, w.a.now()
	s.det.Code, s.det.Reason, s.det.Remedy = "index.children", "the images that it lists are being decided", "try again in a moment"
	s.rec.SetDetail(s.det)
	w.tx.PutManifest(s.repo, s.rec)
	if w.queue(i); again {
		for _, m := range s.parsed.Manifests {
			if c := (store.Item{Repository: s.repo, Digest: m.Digest}); trust.Judged(w.tx.Verdict(c.Repository, c.Digest).State) {
				w.queue(c)
			}
		}
	}
	return true
}

// waits reports whether a staged index from the queue still has children in it, so that there is nothing to decide yet.
func (w *settling) waits(i store.Item, s *subjectManifest) bool {
	return s.det.Staged && w.light[i] && w.a.staged(w.tx, w.t, i) && w.childrenWait(s)
}

func (w *settling) childrenWait(s *subjectManifest) bool {
	for _, m := range s.parsed.Manifests {
		if w.tx.Queued(store.Item{Repository: s.repo, Digest: m.Digest}) {
			return true
		}
	}
	return false
}

// staged reports whether an index will be admitted, by a verdict that counts, once its children were decided.
func (a *Admission) staged(tx *store.Txn, t *grounds, i store.Item) bool {
	v := tx.Verdict(i.Repository, i.Digest)
	if v.State != store.StateQuarantined && v.State != store.StatePending || !t.Fresh(i.Repository, v, a.now()) {
		return false
	}
	rec, err := tx.Manifest(i.Repository, i.Digest)
	if err != nil || rec == nil || rec.Kind != store.KindIndex {
		return false
	}
	det, err := rec.Detail()
	return err == nil && det.Staged
}

// counts reports whether what is proven of an index counts for its children: it is admitted by a verdict that can be used, or staged.
func (a *Admission) counts(tx *store.Txn, t *grounds, i store.Item) bool {
	if state, ok := t.assumed.Of(i); ok {
		return state == store.StateAdmitted
	}
	v := tx.Verdict(i.Repository, i.Digest)
	if v.State == store.StateAdmitted {
		return !t.Doubtful(tx.Records, a.now(), i, v)
	}
	return a.staged(tx, t, i)
}
