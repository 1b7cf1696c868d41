package policy

import (
	"github.com/assay-registry/assay/store"
)

// maxAdmittedIn is how many repositories a push is told of in which its digest is admitted.
const maxAdmittedIn = 100

// admittedIn are the other repositories in which a digest is admitted now, for rules of promotion: in order, of the first scanLimit that hold it. What is in doubt there is not among
// them. It is told to the entry point push alone: what becomes of it elsewhere later is another matter, and ends no verdict here.
func (a *Admission) admittedIn(tx *store.Txn, t *grounds, repo store.Name, d store.Digest) []store.Name {
	var names []store.Name
	for _, n := range tx.RepositoriesOf(d, 'm', scanLimit) {
		if i := (store.Item{Repository: n, Digest: d}); n != repo && len(names) < maxAdmittedIn && t.Revocation(n, d) == nil && a.counts(tx, t, i) {
			names = append(names, n)
		}
	}
	return names
}

// maxShowing is how many of the tags that show a digest policies are told.
const maxShowing = 100

// showing are the tags that show a digest to whoever may pull, ordered by name: the first maxShowing.
func (w *writing) showing(repo store.Name, d store.Digest) ([]string, error) {
	var visible []string
	for _, name := range w.tx.TagsOf(repo, d) {
		tag, err := w.tx.Tag(repo, name)
		if err != nil {
			return nil, err
		}
		if tag != nil && tag.Visible == d && !tag.Denied {
			if visible = append(visible, name); len(visible) == maxShowing {
				break
			}
		}
	}
	return visible, nil
}
