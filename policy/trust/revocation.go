package trust

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/store"
)

// Revocation withdraws a digest, whatever evidence there is, until it is lifted.
type Revocation struct {
	ID         string       `json:"id"`
	Digest     store.Digest `json:"digest"`
	Repository store.Glob   `json:"repository"` // "**" for all
	Reason     string       `json:"reason"`
	By         string       `json:"by"`
	At         time.Time    `json:"at"`
}

// Revocation is the record, if there is one, that withdraws a digest in a repository.
func (t *Snapshot) Revocation(repo store.Name, ds ...store.Digest) *Revocation {
	for _, d := range ds {
		for i, r := range t.revoked[d] {
			if r.Repository.Match(repo) {
				return &t.revoked[d][i]
			}
		}
	}
	return nil
}

// Revokes reports whether anything is withdrawn at all.
func (t *Snapshot) Revokes() bool { return len(t.revoked) > 0 }

// Revocations lists the records in force.
func (t *Snapshot) Revocations() []Revocation { return slices.Clone(t.revocations) }

// Revoke puts a record into force.
func (t *Snapshot) Revoke(tx *store.Txn, r Revocation) error {
	t.addRevocation(r, tx)
	b, err := json.Marshal(r)
	if err != nil {
		return store.Errorf(store.CodeInternal, "the revocation could not be stored: %w", err)
	}
	tx.PutDoc(classRevocation, r.ID, b)
	return nil
}

// Lift ends a record, if p administers all that it covers. Errors: CodeNotFound, CodeDenied.
func (t *Snapshot) Lift(tx *store.Txn, p access.Principal, id string) (Revocation, error) {
	i := slices.IndexFunc(t.revocations, func(r Revocation) bool { return r.ID == id })
	if i < 0 {
		return Revocation{}, store.Errorf(store.CodeNotFound, "there is no revocation %q; assay revocation list shows them", id)
	}
	r := t.revocations[i]
	if err := p.MayAdminister(r.Repository); err != nil {
		return r, err
	}
	t.revocations = slices.Delete(t.revocations, i, i+1)
	for d, rs := range t.revoked {
		if kept := slices.DeleteFunc(slices.Clone(rs), func(x Revocation) bool { return x.ID == id }); len(kept) == 0 {
			delete(t.revoked, d)
		} else {
			t.revoked[d] = kept
		}
	}
	tx.DeleteDoc(classRevocation, id)
	return r, nil
}

// addRevocation enters a record under its digest and, where the bytes are known, under their other one.
func (t *Snapshot) addRevocation(r Revocation, tx *store.Txn) {
	t.revocations = append(t.revocations, r)
	ds := []store.Digest{r.Digest}
	if b := tx.Content(r.Digest); b != nil {
		ds = append(ds, alternate(r.Digest, b))
	}
	for _, i := range tx.Alternates(r.Digest) {
		if !slices.Contains(ds, i.Digest) {
			ds = append(ds, i.Digest)
		}
	}
	for _, d := range ds {
		t.revoked[d] = append(slices.Clone(t.revoked[d]), r)
	}
}

// alternate is the digest of b under the algorithm that d does not use.
func alternate(d store.Digest, b []byte) store.Digest {
	if d.Algorithm() == digest.SHA512 {
		return store.DigestOf(digest.SHA256, b)
	}
	return store.DigestOf(digest.SHA512, b)
}
