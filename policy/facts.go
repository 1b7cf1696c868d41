package policy

import (
	"context"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/proof"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// maxEvidence bounds one layer of evidence, in bytes (semantics.md, "Evidence").
const maxEvidence = 40 << 20

// verify finds what one evidence manifest proves of a subject, as [proof.Known.Verify]. holder is the repository that has the evidence.
func (a *Admission) verify(ctx context.Context, tx *store.Txn, covering []*trust.Authority, subject verify.Subject, holder store.Name, evidence store.Digest, k *proof.Known) (changed bool, err error) {
	return k.Verify(ctx, a.o.Verifier, covering, subject, func() (*verify.Evidence, error) { return a.load(ctx, tx, holder, evidence, k.Found) })
}

// load reads an evidence manifest with its layers. It was classified when it was stored.
func (a *Admission) load(ctx context.Context, tx *store.Txn, repo store.Name, d store.Digest, found verify.Found) (*verify.Evidence, error) {
	rec, err := tx.Manifest(repo, d)
	if err != nil {
		return nil, err
	}
	if rec == nil {
		return nil, store.Errorf(store.CodeUnavailable, "the evidence %s is missing; run assay check", d)
	}
	p, err := a.parsed.Read(tx.Records, d, rec.MediaType)
	if err != nil {
		return nil, err
	}
	e := &verify.Evidence{Manifest: rec.Descriptor(), ArtifactType: p.ArtifactType, Found: found}
	if p.Config != nil {
		e.ConfigType = p.Config.MediaType
	}
	for _, l := range p.Layers {
		content, err := a.local.ReadContent(ctx, l.Digest, maxEvidence)
		if err != nil {
			return nil, err
		}
		e.Layers = append(e.Layers, verify.Layer{Descriptor: l, Bytes: content})
	}
	return e, nil
}

// facts are those of one manifest's own evidence, verified again where trust has changed since, and what TUF targets say of it.
func (a *Admission) facts(ctx context.Context, tx *store.Txn, t *grounds, subject verify.Subject) (*proof.Standing, error) {
	repo, d := subject.Repository, subject.Descriptor.Digest
	covering := t.Covering(repo)
	all := map[store.Digest]*proof.Known{}
	for evidence, b := range tx.Facts(repo, d) {
		k, err := proof.Decode(evidence, b)
		if err != nil {
			return nil, err
		}
		if stands, err := a.stands(tx, t, repo, evidence); err != nil {
			return nil, err
		} else if !stands {
			continue
		}
		was := k.Idle()
		changed, err := a.verify(ctx, tx, covering, subject, repo, evidence, k)
		if err != nil {
			return nil, err
		}
		if changed {
			proof.Put(tx, repo, d, evidence, k, was)
		}
		all[evidence] = k
	}
	if err := a.borrow(ctx, tx, t, subject, all); err != nil {
		return nil, err
	}
	pinned, next := t.PinFacts(subject, a.now())
	return proof.Count(all, covering, a.now()).And(&proof.Standing{Facts: pinned, Next: next}), nil
}

// stands reports whether evidence counts at all: what is revoked, by its own digest or a blob's, proves nothing while the record is there.
func (a *Admission) stands(tx *store.Txn, t *grounds, repo store.Name, evidence store.Digest) (bool, error) {
	if tx.Verdict(repo, evidence).State != store.StateEvidence {
		return false, nil
	}
	if !t.Revokes() {
		return true, nil
	}
	s, err := a.subject(tx, store.Item{Repository: repo, Digest: evidence})
	return err == nil && a.withdrawn(t, s) == nil, err
}

// Limits of how far evidence travels down (semantics.md, "The closure").
const (
	maxDepth = proof.MaxDepth
	maxNodes = 10_000 // admitted ones: those that wait displace none
)

// inherited are the facts of the admitted indexes above a manifest, and its parents.
func (a *Admission) inherited(ctx context.Context, tx *store.Txn, t *grounds, repo store.Name, d store.Digest) (*proof.Standing, []store.Digest, error) {
	all := &proof.Standing{}
	parents := tx.Parents(repo, d)
	seen := map[store.Digest]bool{d: true}
	level, nodes := parents, 0
	for range maxDepth {
		var next []store.Digest
		for _, parent := range level {
			if seen[parent] || nodes > maxNodes || !a.counts(tx, t, store.Item{Repository: repo, Digest: parent}) {
				continue
			}
			seen[parent] = true
			nodes++
			rec, err := tx.Manifest(repo, parent)
			if err != nil {
				return nil, nil, err
			}
			own, err := a.facts(ctx, tx, t, proof.Subject(repo, rec))
			if err != nil {
				return nil, nil, err
			}
			if len(own.Facts) > 0 {
				own.Next = contract.Earlier(own.Next, rec.ValidUntil)
			}
			for i := range own.Facts {
				own.Facts[i].InheritedFrom = parent
			}
			all.Facts, all.Next = append(all.Facts, own.Facts...), contract.Earlier(all.Next, own.Next)
			next = append(next, tx.Parents(repo, parent)...)
		}
		level = next
	}
	return all, parents, nil
}
