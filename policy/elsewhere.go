package policy

import (
	"context"
	"slices"

	"github.com/assay-registry/assay/policy/proof"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// Evidence may be kept in a repository of its own (cosign's COSIGN_REPOSITORY). The rule of a repository names it: what stands there about a digest counts for that digest
// here, under the authorities that cover this repository and bound to its name. The facts are kept with the evidence, so that they go where it goes.

// maxElsewhere is for how many repositories facts are kept with one piece of evidence. For more, it is verified each time.
const maxElsewhere = 64

// borrowing names the rules about it: others than in the last run put every verdict in doubt.
func borrowing(rules []RepositoryRule) string {
	said := ""
	for _, r := range rules {
		said += " " + string(r.Match) + ">" + string(r.EvidenceRepository)
	}
	if !slices.ContainsFunc(rules, func(r RepositoryRule) bool { return r.EvidenceRepository != "" }) {
		return ""
	}
	return said
}

// borrowers are the other repositories that have a manifest and count the evidence that one keeps about it.
func (a *Admission) borrowers(tx *store.Txn, from store.Name, d store.Digest) []store.Name {
	var names []store.Name
	for _, r := range a.o.Rules {
		if r.EvidenceRepository != from {
			continue
		}
		for _, n := range tx.RepositoriesOf(d, 'm', scanLimit) {
			if n != from && a.rule(n).EvidenceRepository == from {
				names = append(names, n)
			}
		}
		break
	}
	return names
}

// borrow adds what is known of a manifest by the evidence that another repository keeps about it.
func (a *Admission) borrow(ctx context.Context, tx *store.Txn, t *grounds, subject verify.Subject, all map[store.Digest]*proof.Known) error {
	from := a.rule(subject.Repository).EvidenceRepository
	if from == "" || from == subject.Repository {
		return nil
	}
	for evidence, b := range tx.Facts(from, subject.Descriptor.Digest) {
		k, err := proof.Decode(evidence, b)
		if err != nil {
			return err
		}
		if stands, err := a.stands(tx, t, from, evidence); err != nil {
			return err
		} else if !stands || k.Registry || all[evidence] != nil {
			continue
		}
		was := k.Idle()
		here, changed, err := a.lend(ctx, tx, t, subject, from, evidence, k)
		if err != nil {
			return err
		}
		if changed {
			proof.Put(tx, from, subject.Descriptor.Digest, evidence, k, was)
		}
		all[evidence] = here
	}
	return nil
}

// lend verifies evidence for a manifest of another repository than that which holds it.
func (a *Admission) lend(ctx context.Context, tx *store.Txn, t *grounds, subject verify.Subject, from store.Name, evidence store.Digest, k *proof.Known) (here *proof.Known, changed bool, err error) {
	here = &proof.Known{Under: k.Elsewhere[subject.Repository], Found: k.Found, At: k.At}
	if changed, err = a.verify(ctx, tx, t.Covering(subject.Repository), subject, from, evidence, here); err != nil || !changed {
		return here, false, err
	}
	if _, kept := k.Elsewhere[subject.Repository]; !kept && len(k.Elsewhere) >= maxElsewhere {
		return here, false, nil
	}
	if k.Elsewhere == nil {
		k.Elsewhere = map[store.Name]map[string]proof.Judged{}
	}
	k.Elsewhere[subject.Repository] = here.Under
	return here, true, nil
}

// lendAll verifies evidence for all who count it: what it proves there makes it no junk here.
func (w *writing) lendAll(ctx context.Context, evidence, subject store.Digest, k *proof.Known) error {
	for _, n := range w.a.borrowers(w.tx, w.in.repo, subject) {
		rec, err := w.tx.Manifest(n, subject)
		if err != nil || rec == nil {
			return err
		}
		if _, _, err := w.a.lend(ctx, w.tx, w.t, proof.Subject(n, rec), w.in.repo, evidence, k); err != nil {
			return err
		}
	}
	return nil
}

// about are the manifests whose verdict may change with evidence about a digest: that of the repository which holds it, and those of repositories that borrow it.
func (a *Admission) about(tx *store.Txn, holder store.Name, d store.Digest) []store.Item {
	items := []store.Item{{Repository: holder, Digest: d}}
	for _, n := range a.borrowers(tx, holder, d) {
		items = append(items, store.Item{Repository: n, Digest: d})
	}
	return items
}

// borrowed is what is known of a manifest by the evidence of another repository, as it was found when the verdict was made.
func (a *Admission) borrowed(s store.Snapshot, repo store.Name, d store.Digest) map[store.Digest]*proof.Known {
	all := map[store.Digest]*proof.Known{}
	if from := a.rule(repo).EvidenceRepository; from != "" && from != repo {
		for evidence, b := range s.Facts(from, d) {
			if k, err := proof.Decode(evidence, b); err == nil && k.Elsewhere[repo] != nil {
				all[evidence] = &proof.Known{Under: k.Elsewhere[repo], Found: k.Found, At: k.At}
			}
		}
	}
	return all
}
