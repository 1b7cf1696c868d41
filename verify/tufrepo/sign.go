package tufrepo

import (
	"fmt"
	"slices"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Sign adds a key's signature to a staged role. Errors: CodeNotFound where nothing is staged, CodeInvalid for a key that the role does not have, for a public key, and
// for a version that has expired.
func (r *Repository) Sign(role string, k *Key) error {
	d := r.staged[role]
	if d == nil {
		return r.nothingStaged(role)
	}
	if err := r.sign(d, k); err != nil {
		return err
	}
	return r.keep(d)
}

func (r *Repository) nothingStaged(role string) error {
	if role == Snapshot || role == Timestamp {
		return missing("%s is signed by assay tuf refresh, with its online key", role)
	}
	if r.committed[role] == nil {
		return missing("there is no role %q; assay tuf status lists the roles", role)
	}
	return missing("nothing of %s waits for a signature; an edit makes a new version, and so does assay tuf refresh --renew %s", role, role)
}

func (r *Repository) sign(d *document, k *Key) error {
	if k.Sign == nil {
		return invalid("this is the public half of the key %s; sign with the private one", short(k.ID))
	}
	if !r.now().Before(d.expires()) {
		return invalid("%s %d expired on %s, and nobody signs that; renew it with assay tuf refresh --renew %s", d.role, d.version(), stamp(d.expires()), d.role)
	}
	ids, err := r.namesOf(d, k)
	if err != nil {
		return err
	}
	payload, err := d.payload()
	if err != nil {
		return err
	}
	sig, err := k.Sign(payload)
	if err != nil {
		return err
	}
	for _, id := range ids {
		put(d.head().signatures, metadata.Signature{KeyID: id, Signature: sig})
	}
	return d.encode()
}

// put replaces the signature of a key, or adds one.
func put(all *[]metadata.Signature, s metadata.Signature) {
	i := slices.IndexFunc(*all, func(o metadata.Signature) bool { return o.KeyID == s.KeyID })
	if i < 0 {
		*all = append(*all, s)
		return
	}
	(*all)[i] = s
}

// namesOf is how the delegators of d name a key: another implementation may have named it otherwise than this one. Errors: CodeInvalid for a foreign key.
func (r *Repository) namesOf(d *document, k *Key) ([]string, error) {
	by, err := r.delegators(d, r.doc)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, p := range by {
		au, _ := p.authorityOf(d.role)
		for _, id := range au.ids {
			if print, err := fingerprint(au.keys[id]); err == nil && print == k.print && !slices.Contains(names, id) {
				names = append(names, id)
			}
		}
	}
	if len(names) == 0 {
		return nil, invalid("the key %s is none of %s's, so its signature would count nowhere; add it first with assay tuf add-key", short(k.ID), d.role)
	}
	return names, nil
}

// Wants reports whether the staged version of a role waits for a signature of this key.
func (r *Repository) Wants(role string, k *Key) bool {
	d := r.staged[role]
	if d == nil {
		return false
	}
	ids, err := r.namesOf(d, k)
	return err == nil && slices.ContainsFunc(ids, func(id string) bool { return !signedBy(d, id, k.tuf) })
}

// delegators are the documents under which d must be verified: a root by itself and by the one before it, everything else by all who delegate to it.
func (r *Repository) delegators(d *document, doc func(string) *document) ([]*document, error) {
	if d.root != nil {
		for _, before := range r.roots {
			if before.version() == d.version()-1 {
				return []*document{before, d}, nil
			}
		}
		return []*document{d}, nil
	}
	if topLevel(d.role) {
		return []*document{doc(Root)}, nil
	}
	all, err := links(doc)
	if err != nil {
		return nil, err
	}
	var by []*document
	for _, l := range all {
		if l.role == d.role {
			by = append(by, doc(l.parent))
		}
	}
	if len(by) == 0 {
		return nil, missing("nobody delegates to the role %s", d.role)
	}
	return by, nil
}

// Needs says how far a role, as it will be, is from its signatures: one line for each delegator. Errors: CodeNotFound.
func (r *Repository) Needs(role string) ([]Need, error) {
	d := r.doc(role)
	if d == nil {
		return nil, missing("there is no metadata of the role %q; assay tuf status lists the roles", role)
	}
	return r.needs(d, r.doc)
}

func (r *Repository) needs(d *document, doc func(string) *document) ([]Need, error) {
	by, err := r.delegators(d, doc)
	if err != nil {
		return nil, err
	}
	var list []Need
	for _, p := range by {
		if p == nil {
			return nil, missing("the delegator of %s is missing", d.role)
		}
		name := p.role
		if p.root != nil && len(by) > 1 {
			name = fmt.Sprintf("root %d", p.version())
		}
		list = append(list, need(p, name, d))
	}
	return list, nil
}

// met reports whether a staged role has all its signatures.
func (r *Repository) met(d *document) bool {
	list, err := r.needs(d, r.doc)
	return err == nil && !slices.ContainsFunc(list, func(n Need) bool { return !n.Met() })
}

// Import takes over the signatures on another copy of a staged role: signed elsewhere, by somebody else, at the same time. It says how many were new. Errors: CodeConflict
// where the copy says something else, CodeInvalid where none of its signatures counts.
func (r *Repository) Import(role string, raw []byte) (int, error) {
	d := r.staged[role]
	if d == nil {
		return 0, r.nothingStaged(role)
	}
	other, err := parse(role, raw)
	if err != nil {
		return 0, err
	}
	if !d.sameContent(other) {
		return 0, conflict("the copy is not the same %s as the one that is staged here (version %d); its signatures are for something else. Let the signer work on a new copy", role, d.version())
	}
	by, err := r.delegators(d, r.doc)
	if err != nil {
		return 0, err
	}
	added := 0
	for _, s := range *other.head().signatures {
		for _, p := range by {
			au, _ := p.authorityOf(role)
			if slices.Contains(au.ids, s.KeyID) && au.keys[s.KeyID] != nil && signedBy(other, s.KeyID, au.keys[s.KeyID]) {
				if !signedBy(d, s.KeyID, au.keys[s.KeyID]) {
					added++
				}
				put(d.head().signatures, s)
				break
			}
		}
	}
	if added == 0 {
		return 0, invalid("the copy has no signature that counts and is not here yet")
	}
	if err := d.encode(); err != nil {
		return 0, err
	}
	return added, r.keep(d)
}

// Discard forgets the staged version of a role. Errors: CodeNotFound.
func (r *Repository) Discard(role string) error {
	if r.staged[role] == nil {
		return r.nothingStaged(role)
	}
	if r.committed[role] == nil {
		return conflict("%s %d is the first version, and nothing is without it; remove the delegation, or the directory", role, r.staged[role].version())
	}
	if err := r.dir.Remove(stagedDir + plain(role)); err != nil {
		return err
	}
	delete(r.staged, role)
	return r.orphans()
}

// orphans drops staged versions of roles that nobody delegates to.
func (r *Repository) orphans() error {
	for _, role := range r.Staged() {
		if _, err := r.parent(role); err == nil {
			continue
		}
		if err := r.dir.Remove(stagedDir + plain(role)); err != nil {
			return err
		}
		delete(r.staged, role)
	}
	return nil
}
