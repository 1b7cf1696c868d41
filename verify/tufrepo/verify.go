package tufrepo

import (
	"fmt"
	"slices"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Need is how far one document is from the signatures that it needs under one delegator.
type Need struct {
	Role      string   `json:"role"`
	By        string   `json:"by"` // the delegator and, for root, which version of it: "root 1", "targets"
	Have      int      `json:"have"`
	Threshold int      `json:"threshold"`
	Signed    []string `json:"signed,omitempty"`  // IDs of the keys that signed
	Missing   []string `json:"missing,omitempty"` // IDs of the keys that still may
}

// Met reports whether the threshold is reached.
func (n Need) Met() bool { return n.Threshold > 0 && n.Have >= n.Threshold }

// String is the sentence about it.
func (n Need) String() string {
	if n.Met() {
		return fmt.Sprintf("%s has %d of %d signatures by %s", n.Role, n.Have, n.Threshold, n.By)
	}
	return fmt.Sprintf("%s has %d of %d signatures by %s: %d more needed", n.Role, n.Have, n.Threshold, n.By, n.Threshold-n.Have)
}

// need counts the distinct keys of a delegator that signed d. A key that cannot be read has not signed.
func need(delegator *document, by string, d *document) Need {
	n := Need{Role: d.role, By: by}
	au, ok := delegator.authorityOf(d.role)
	if !ok {
		return n
	}
	n.Threshold = au.threshold
	seen := map[string]bool{}
	for _, id := range au.ids {
		print, err := fingerprint(au.keys[id])
		if err != nil || seen[print] {
			continue
		}
		seen[print] = true
		if signedBy(d, id, au.keys[id]) {
			n.Have++
			n.Signed = append(n.Signed, id)
		} else {
			n.Missing = append(n.Missing, id)
		}
	}
	return n
}

// signedBy asks the library about one key: a root that knows nobody else.
func signedBy(d *document, id string, key *metadata.Key) bool {
	only := &metadata.Metadata[metadata.RootType]{Signed: metadata.RootType{
		Keys: map[string]*metadata.Key{id: key}, Roles: map[string]*metadata.Role{d.role: {KeyIDs: []string{id}, Threshold: 1}},
	}}
	return guarded(func() error { return only.VerifyDelegate(d.role, d.head().whole) }) == nil
}

// verified holds d against the whole delegation, as every client does. Errors: CodeInvalid.
func verified(delegator *document, d *document) error {
	au, ok := delegator.authorityOf(d.role)
	if !ok {
		return invalid("nobody delegates to the role %s", d.role)
	}
	for _, id := range au.ids {
		if _, err := fingerprint(au.keys[id]); err != nil {
			return invalid("the key %s of %s is not usable: %w", short(id), d.role, err)
		}
	}
	err := guarded(func() error {
		if delegator.root != nil {
			return delegator.root.VerifyDelegate(d.role, d.head().whole)
		}
		return delegator.targets.VerifyDelegate(d.role, d.head().whole)
	})
	if err != nil {
		return invalid("%s; sign it with assay tuf sign", need(delegator, delegator.role, d))
	}
	return nil
}

// guarded turns a panic of the library into an error: foreign metadata ends no process.
func guarded(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = invalid("the metadata cannot be verified: %v", p)
		}
	}()
	return fn()
}

func short(id string) string { return id[:min(len(id), 12)] }

// link is one delegation: role is verified by parent.
type link struct{ role, parent string }

// links walks the delegations from targets on, parents before children, in the order of trust. A role that is delegated to twice has a link for each delegator,
// so that it is verified under both; where the document of a role is missing the walk does not go on below it.
func links(doc func(role string) *document) ([]link, error) {
	all := []link{{Targets, Root}}
	var seen []string
	for i := 0; i < len(all); i++ {
		d := doc(all[i].role)
		if slices.Contains(seen, all[i].role) {
			continue
		}
		seen = append(seen, all[i].role)
		if d == nil || d.targets == nil || d.targets.Signed.Delegations == nil {
			continue
		}
		for _, r := range d.targets.Signed.Delegations.Roles {
			if topLevel(r.Name) {
				return nil, invalid("the role %s delegates to %q, which is the name of a top-level role", d.role, r.Name)
			}
			if all = append(all, link{r.Name, d.role}); len(all) > maxRoles {
				return nil, invalid("the repository has more than %d delegations; this program does not go on", maxRoles)
			}
		}
	}
	return all, nil
}
