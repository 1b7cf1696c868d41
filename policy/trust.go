package policy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// trust is an immutable snapshot of everything that a verdict depends on but the evidence. Whoever decides takes one snapshot and
// stores its sequence with the verdict; a verdict older than a denial that covers its repository is decided again before it is used.
type trust struct {
	seq         uint64
	engine      Engine
	config      []verify.Authority // from the configuration
	runtime     []verify.Authority // from the store
	authorities []verify.Authority // both
	denials     []denial
	revoked     map[store.Digest][]Revocation
	revocations []Revocation
	doc         []byte // state, as the store holds it
}

// denial says: verdicts in these repositories that were decided before seq do not count.
type denial struct {
	Seq        uint64     `json:"seq"`
	Repository store.Glob `json:"repository"`
}

// maxDenials is where the set collapses to one bound for all repositories.
const maxDenials = 8

// trustState is what the store remembers between runs.
type trustState struct {
	Seq      uint64   `json:"seq"`
	Denials  []denial `json:"denials"`
	Revision string   `json:"revision"` // of engine and authorities
}

const (
	classTrust      = "trust"
	classAuthority  = "authority"
	classRevocation = "revocation"
	docState        = "state"
)

// fresh reports whether a verdict still counts.
func (t *trust) fresh(repo store.Name, seq uint64, validUntil, now time.Time) bool {
	if !validUntil.IsZero() && !now.Before(validUntil) {
		return false
	}
	for _, d := range t.denials {
		if seq < d.Seq && d.Repository.Match(repo) {
			return false
		}
	}
	return true
}

// covering are the authorities that speak for a repository.
func (t *trust) covering(repo store.Name) []verify.Authority {
	var as []verify.Authority
	for _, a := range t.authorities {
		if a.Repositories.Match(repo) {
			as = append(as, a)
		}
	}
	return as
}

// revocation is the record, if there is one, that withdraws a digest in a repository.
func (t *trust) revocation(repo store.Name, ds ...store.Digest) *Revocation {
	for _, d := range ds {
		for i, r := range t.revoked[d] {
			if r.Repository.Match(repo) {
				return &t.revoked[d][i]
			}
		}
	}
	return nil
}

// authorityRevision names a set of authorities, so that facts which were verified under it can be used again.
func authorityRevision(as []verify.Authority) string {
	b, err := json.Marshal(as)
	if err != nil {
		return "" // never equal to a stored revision: facts are verified again
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

func (t *trust) revision() string {
	return t.engine.Revision() + " " + authorityRevision(t.authorities)
}

func (t *trust) clone() *trust {
	c := *t
	c.denials = slices.Clone(t.denials)
	c.revocations = slices.Clone(t.revocations)
	c.revoked = maps.Clone(t.revoked)
	return &c
}

// deny makes every verdict in the repositories that was decided before this sequence be decided again before it is used.
func (t *trust) deny(globs ...store.Glob) {
	for _, g := range globs {
		t.denials = append(t.denials, denial{t.seq, g})
	}
	if len(t.denials) > maxDenials {
		t.denials = []denial{{t.seq, "**"}}
	}
}

// seal writes what the store remembers.
func (t *trust) seal(tx *store.Txn) {
	b, err := json.Marshal(trustState{t.seq, t.denials, t.revision()})
	if err != nil {
		panic("policy: a trust state that does not marshal") // numbers and strings
	}
	t.doc = b
	tx.PutDoc(classTrust, docState, b)
}

// trusted is the snapshot that a transaction decides by. The transaction reads the stored state too, so that it cannot commit
// across a change of trust; between such a change's commit and its publication it waits.
func (a *Admission) trusted(tx *store.Txn) *trust {
	stored := tx.Doc(classTrust, docState)
	if t := a.trust.Load(); bytes.Equal(stored, t.doc) {
		return t
	}
	a.trustMu.Lock()
	defer a.trustMu.Unlock()
	return a.trust.Load()
}

func (t *trust) join() {
	t.authorities = append(slices.Clone(t.config), t.runtime...)
}

// loadTrust runs before anything listens.
func (a *Admission) loadTrust(ctx context.Context) error {
	t := &trust{engine: a.o.Engine, config: a.o.Authorities, revoked: map[store.Digest][]Revocation{}}
	return a.local.Update(ctx, func(tx *store.Txn) error {
		state := trustState{Seq: 1}
		if b := tx.Doc(classTrust, docState); b != nil {
			if err := json.Unmarshal(b, &state); err != nil {
				return store.Errorf(store.CodeInternal, "the trust record is damaged; run assay check: %w", err)
			}
		}
		n := &trust{engine: t.engine, config: t.config, seq: state.Seq, denials: state.Denials, revoked: map[store.Digest][]Revocation{}}
		if err := n.loadDocs(tx); err != nil {
			return err
		}
		n.join()
		if n.revision() != state.Revision {
			n.seq++
			n.deny("**")
		}
		n.seal(tx)
		tx.AfterCommit(func() { a.publish(n) })
		return nil
	})
}

func (t *trust) loadDocs(tx *store.Txn) error {
	for name, b := range tx.DocsOf(classAuthority) {
		var au verify.Authority
		if err := json.Unmarshal(b, &au); err != nil {
			return store.Errorf(store.CodeInternal, "the record of the authority %q is damaged; run assay check: %w", name, err)
		}
		t.runtime = append(t.runtime, au)
	}
	slices.SortFunc(t.runtime, func(x, y verify.Authority) int { return cmpString(x.Name, y.Name) })
	for id, b := range tx.DocsOf(classRevocation) {
		if planted == 3 {
			break // a restart forgets what was revoked
		}
		var r Revocation
		if err := json.Unmarshal(b, &r); err != nil {
			return store.Errorf(store.CodeInternal, "the revocation %q is damaged; run assay check: %w", id, err)
		}
		t.addRevocation(r, tx)
	}
	return nil
}

func cmpString(x, y string) int {
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// addRevocation enters a record under its digest and, where the bytes are known, under their other one.
func (t *trust) addRevocation(r Revocation, tx *store.Txn) {
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

func (a *Admission) publish(t *trust) {
	a.trust.Store(t)
	wake(a.wakeReview)
}

// change commits a change of trust and only then puts it into force, so that what is in force survives a restart. edit works on a copy,
// inside the transaction, and may run several times.
func (a *Admission) change(ctx context.Context, edit func(tx *store.Txn, t *trust) error) error {
	a.trustMu.Lock()
	defer a.trustMu.Unlock()
	return a.local.Update(ctx, func(tx *store.Txn) error {
		t := a.trust.Load().clone()
		t.seq++
		if err := edit(tx, t); err != nil {
			return err
		}
		t.join()
		t.seal(tx)
		tx.AfterCommit(func() { a.publish(t) })
		return nil
	})
}

// SetEngine puts another policy set into force. Any change of a set narrows: every verdict is decided again before it is used.
func (a *Admission) SetEngine(ctx context.Context, e Engine) error {
	return a.change(ctx, func(_ *store.Txn, t *trust) error {
		if t.engine.Revision() != e.Revision() {
			t.deny("**")
		}
		t.engine = e
		return nil
	})
}

// SetAuthorities replaces the authorities of the configuration.
func (a *Admission) SetAuthorities(ctx context.Context, as []verify.Authority) error {
	return a.change(ctx, func(_ *store.Txn, t *trust) error {
		for _, au := range as {
			if find(t.runtime, au.Name) >= 0 {
				return store.Errorf(store.CodeInvalid, "the authority %q is in the configuration and was also added at run time; remove one with assay trust remove", au.Name)
			}
		}
		if authorityRevision(t.config) != authorityRevision(as) {
			t.deny("**")
		}
		t.config = slices.Clone(as)
		return nil
	})
}

func find(as []verify.Authority, name string) int {
	return slices.IndexFunc(as, func(a verify.Authority) bool { return a.Name == name })
}
