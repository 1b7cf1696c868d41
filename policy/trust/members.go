package trust

import (
	"encoding/json"
	"slices"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// SetAuthorities replaces the authorities of the configuration. Errors: CodeInvalid where one has the name of one that was added at run time.
func (t *Snapshot) SetAuthorities(as []verify.Authority) error {
	for _, au := range as {
		if find(t.runtime, au.Name) >= 0 {
			return store.Errorf(store.CodeInvalid, "the authority %q is in the configuration and was also added at run time; remove one with assay trust remove", au.Name)
		}
	}
	t.config = slices.Clone(as)
	return nil
}

// Add trusts somebody from now on, over restarts. Errors: CodeConflict where the name is taken.
func (t *Snapshot) Add(tx *store.Txn, au verify.Authority) error {
	if find(t.config, au.Name) >= 0 || find(t.runtime, au.Name) >= 0 {
		return store.Errorf(store.CodeConflict, "there is an authority %q already; remove it first or choose another name", au.Name)
	}
	b, err := json.Marshal(au)
	if err != nil {
		return store.Errorf(store.CodeInternal, "the authority could not be stored: %w", err)
	}
	t.runtime = append(slices.Clone(t.runtime), au)
	tx.PutDoc(classAuthority, au.Name, b)
	return nil
}

// Remove ends trust that was given at run time, if p administers the authority. Errors: CodeNotFound, CodeConflict where the configuration names it, CodeDenied.
func (t *Snapshot) Remove(tx *store.Txn, p access.Principal, name string) error {
	au, err := t.Administers(p, name)
	i := find(t.runtime, name)
	switch {
	case err != nil:
		return err
	case au == nil:
		return store.Errorf(store.CodeNotFound, "there is no authority %q; assay trust list shows them", name)
	case i < 0:
		return store.Errorf(store.CodeConflict, "the authority %q is in the configuration file: change it there and reload", name)
	}
	t.runtime = slices.Delete(slices.Clone(t.runtime), i, i+1)
	tx.DeleteDoc(classAuthority, name)
	return nil
}

// Administers refuses whoever is not an administrator of everything that an authority speaks for. Of one that is gone, nobody knows what that was.
func (t *Snapshot) Administers(p access.Principal, name string) (*Authority, error) {
	for i := range t.Authorities {
		if a := &t.Authorities[i]; a.Name == name {
			return a, p.MayAdminister(a.Repositories...)
		}
	}
	return nil, p.MayAdminister("**")
}

// Covering are the authorities that speak for a repository.
func (t *Snapshot) Covering(repo store.Name) []*Authority {
	var as []*Authority
	for i := range t.Authorities {
		if a := &t.Authorities[i]; a.Covers(repo) {
			as = append(as, a)
		}
	}
	return as
}

func find(as []verify.Authority, name string) int {
	return slices.IndexFunc(as, func(a verify.Authority) bool { return a.Name == name })
}
