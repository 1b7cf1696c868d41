package policy

import (
	"context"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/assay-registry/assay/policy/proof"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// evidence lists the manifest as a referrer of its subject and, if it is evidence, verifies it and has the subject decided again.
func (w *writing) evidence(ctx context.Context, rec *store.ManifestRecord, det *store.Detail) error {
	in := w.in
	if s := in.parsed.Subject; s != nil {
		w.tx.PutEdge(in.repo, s.Digest, in.digest, referrers.Descriptor(in.parsed, rec.Descriptor()))
	}
	if w.kind != store.KindEvidence {
		return nil
	}
	about := map[store.Digest]verify.Found{}
	for _, tag := range in.reserved {
		w.tx.AddStood(in.repo, tag.String(), in.digest)
		if !slices.Contains(det.Stood, tag.String()) {
			det.Stood = append(det.Stood, tag.String())
		}
		for _, d := range w.subjects(tag) {
			about[d] = verify.FoundTag
		}
	}
	if in.parsed.Subject != nil {
		about[in.parsed.Subject.Digest] = verify.FoundReferrers
	}
	if !in.parsed.Index() { // an index under a fallback tag is a hint: its entries speak for themselves
		for d, found := range about {
			if err := w.prove(ctx, in.digest, d, found); err != nil {
				return err
			}
			if !slices.Contains(det.About, d) {
				det.About = append(det.About, d)
			}
		}
	}
	rec.SetDetail(det)
	w.tx.PutManifest(in.repo, rec)
	return nil
}

// subjects are the manifests that a reserved tag can mean: exactly one for sha256; for sha512, whose tag holds half the digest, those stored that begin so.
func (w *writing) subjects(tag referrers.Tag) []store.Digest {
	if d, ok := tag.Subject(); ok {
		return []store.Digest{d}
	}
	return w.tx.ManifestsWithPrefix(w.in.repo, tag.Prefix)
}

// adopt finds the evidence that came before its subject and stands under a reserved tag that does not name the whole digest: there it waited for what it is about.
func (w *writing) adopt(ctx context.Context) error {
	in := w.in
	if in.digest.Algorithm() != digest.SHA512 {
		return nil
	}
	for _, suffix := range []referrers.Suffix{referrers.SuffixNone, referrers.SuffixSig, referrers.SuffixAtt, referrers.SuffixSBOM} {
		for _, d := range w.tx.StoodUnder(in.repo, referrers.TagOf(in.digest, suffix).String()) {
			rec, err := w.tx.Manifest(in.repo, d)
			if err != nil {
				return err
			}
			if rec == nil || rec.State != store.StateEvidence || rec.Kind != store.KindEvidence {
				continue
			}
			det, err := rec.Detail()
			if err != nil {
				return err
			}
			if p, err := w.a.parsed.Read(w.tx.Records, d, rec.MediaType); err != nil || p.Index() || slices.Contains(det.About, in.digest) {
				if err != nil {
					return err
				}
				continue
			}
			if err := w.prove(ctx, d, in.digest, verify.FoundTag); err != nil {
				return err
			}
			det.About = append(det.About, in.digest)
			rec.SetDetail(det)
			w.tx.PutManifest(in.repo, rec)
		}
	}
	return nil
}

// prove verifies evidence for one subject and keeps the facts. Junk beyond the limit is stored, listed, and not looked at again.
func (w *writing) prove(ctx context.Context, evidence, subject store.Digest, found verify.Found) error {
	in := w.in
	rec, err := w.tx.Manifest(in.repo, subject)
	if err != nil {
		return err
	}
	var old *proof.Known
	if b := w.tx.Fact(in.repo, subject, evidence); b != nil {
		if old, err = proof.Decode(evidence, b); err != nil {
			return err
		}
	}
	k := in.registry
	if k == nil && old != nil && old.Registry {
		return nil // the registry's own statement stays its own, whoever pushes the same bytes
	}
	if k == nil {
		if k, err = w.judge(ctx, rec, evidence, subject, found); err != nil {
			return err
		}
	}
	if old != nil {
		k.At, k.Again = old.At, old.Again
	} else if k.Again, err = w.repeats(k, evidence, subject); err != nil {
		return err
	}
	if k.Idle() && old == nil && proof.Unproven(w.tx, in.repo, subject) >= proof.MaxUnverified {
		return nil
	}
	proof.Put(w.tx, in.repo, subject, evidence, k, old != nil && old.Idle())
	if in.registry == nil {
		w.seeds = append(w.seeds, w.a.about(w.tx, in.repo, subject)...)
	}
	return nil
}

// repeats reports whether evidence that just came proves nothing about a subject but what other evidence proves, for as long. Whoever can read a signature can attach it
// again, as often as they like: that is no better than junk.
func (w *writing) repeats(k *proof.Known, evidence, subject store.Digest) (bool, error) {
	fresh := k.Statements()
	if len(fresh) == 0 {
		return false, nil
	}
	for other, b := range w.tx.Facts(w.in.repo, subject) {
		if other == evidence {
			continue
		}
		old, err := proof.Decode(other, b)
		if err != nil {
			return false, err
		}
		if stands, err := w.a.stands(w.tx, w.t, w.in.repo, other); err != nil {
			return false, err
		} else if !stands {
			continue
		}
		if fresh.Without(old.Statements()); len(fresh) == 0 {
			return true, nil
		}
	}
	return false, nil
}

// judge verifies evidence for a subject, whose record is nil where it is not here yet: then that is done again when it comes, with all that is known of it.
func (w *writing) judge(ctx context.Context, rec *store.ManifestRecord, evidence, subject store.Digest, found verify.Found) (*proof.Known, error) {
	s := verify.Subject{Repository: w.in.repo, Descriptor: store.Descriptor{Digest: subject}}
	if rec != nil {
		s = proof.Subject(w.in.repo, rec)
	}
	k := &proof.Known{Found: found, At: w.a.now()}
	if _, err := w.a.verify(ctx, w.tx, w.t.Covering(w.in.repo), s, w.in.repo, evidence, k); err != nil {
		return nil, err
	}
	if rec == nil {
		for name, j := range k.Under {
			k.Under[name] = proof.Judged{Facts: j.Facts}
		}
	}
	return k, w.lendAll(ctx, evidence, subject, k)
}

// withdraw takes back what a manifest proved, and has its subjects decided again.
func (w *writing) withdraw(det *store.Detail, evidence store.Digest, about []store.Digest) {
	if w.cause.by == "" && len(about) > 0 {
		w.cause.by = evidence
	}
	for _, subject := range about {
		proof.Drop(w.tx, w.in.repo, subject, evidence)
		if planted == 1 {
			continue // the verdict survives its evidence
		}
		w.seeds = append(w.seeds, w.a.about(w.tx, w.in.repo, subject)...)
	}
	det.About = slices.DeleteFunc(det.About, func(d store.Digest) bool { return slices.Contains(about, d) })
}

// held adds to a receipt for evidence, of the first subject that nothing has admitted yet, why that is: whoever signs with a key that nobody trusts is told so, not only whoever pulls then.
func (a *Admission) held(ctx context.Context, repo store.Name, subjects []store.Item, r *store.Receipt) error {
	if len(subjects) == 0 {
		return nil
	}
	return a.local.View(ctx, func(s store.Snapshot) error {
		for _, i := range subjects[:min(len(subjects), maxHeld)] {
			if i.Repository != repo { // whoever pushed may know nothing of others, for which the evidence counts too
				continue
			}
			rec, err := s.Manifest(repo, i.Digest)
			if err != nil {
				return err
			}
			if rec == nil || rec.State != store.StateQuarantined && rec.State != store.StatePending {
				continue
			}
			det, err := rec.Detail()
			if err != nil {
				return err
			}
			r.Warnings = append(r.Warnings, sentence.Of("still "+string(rec.State), det.Reason, ""))
			if det.Remedy != "" { // apart, so that neither is shortened
				r.Warnings = append(r.Warnings, sentence.Clip("to fix: "+det.Remedy, sentence.Max))
			}
			return nil
		}
		return nil
	})
}

// maxHeld is how many subjects of one piece of evidence are looked at for that: it has one, and may be kept for a few more repositories.
const maxHeld = 8
