package policy

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/pins"
	"github.com/assay-registry/assay/policy/pulls"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// trust is an immutable snapshot of everything that a verdict depends on but the evidence. Whoever decides takes one snapshot and
// stores its sequence with the verdict; a verdict older than a denial that covers its repository is decided again before it is used.
type trust struct {
	seq         uint64
	engine      contract.Engine
	config      []verify.Authority   // from the configuration
	runtime     []verify.Authority   // from the store
	overlay     []TrustRevocation    // what they no longer vouch for
	tuf         map[string]*pins.Set // what TUF repositories say, by authority
	authorities []authority          // both, as they count
	denials     []denial
	revoked     map[store.Digest][]Revocation
	revocations []Revocation
	waiverRules WaiverRules
	waivers     []keptWaiver                // ordered by name
	unwaived    map[string]WaiverRevocation // by id
	borrowing   string                      // the rules about evidence in other repositories
	doc         []byte                      // state, as the store holds it
	assumed     *assumed                    // of a replay: what other manifests would be
}

// denial says: verdicts in these repositories that were decided before seq do not count.
type denial struct {
	Seq          uint64      `json:"seq"`
	Repositories store.Globs `json:"repositories"`
	// Evidence: only what evidence proves changed, so that a verdict whose facts are what they were stands.
	Evidence bool `json:"evidence,omitempty"`
	// Widening: who is trusted for more is trusted for all that was; what is admitted stays so until it was decided again, in the background.
	Widening bool `json:"widening,omitempty"`
}

func (d denial) like(e denial) bool {
	return d.Evidence == e.Evidence && d.Widening == e.Widening && slices.Equal(d.Repositories, e.Repositories)
}

// maxDenials is where the set collapses to one bound for all repositories.
const maxDenials = 8

// trustState is what the store remembers between runs, apart from the authorities themselves.
type trustState struct {
	Seq      uint64   `json:"seq"`
	Denials  []denial `json:"denials"`
	Revision string   `json:"revision"` // of the engine and the rules
}

const (
	classTrust      = "trust"
	classAuthority  = "authority"
	classRevocation = "revocation"
	docState        = "state"
	docAuthorities  = "authorities"
)

// doubt is how much of a verdict is to be looked at again before it is used.
type doubt int

const (
	certain    doubt = iota
	ofEvidence       // the facts: where they are what they were, the verdict stands
	ofAll
)

// doubts says what the denials and the time leave of a verdict. background asks for what the review decides again, too: widenings of what is admitted.
func (t *trust) doubts(repo store.Name, v store.Verdict, now time.Time, background bool) doubt {
	if !v.ValidUntil.IsZero() && !now.Before(v.ValidUntil) {
		return ofAll
	}
	most := certain
	for _, d := range t.denials {
		if v.Seq >= d.Seq || d.Widening && !background && v.State == store.StateAdmitted || !d.Repositories.Match(repo) {
			continue
		}
		if most = ofEvidence; !d.Evidence {
			return ofAll
		}
	}
	return most
}

// fresh reports whether a verdict still counts.
func (t *trust) fresh(repo store.Name, v store.Verdict, now time.Time) bool {
	return t.doubts(repo, v, now, false) == certain
}

// covering are the authorities that speak for a repository.
func (t *trust) covering(repo store.Name) []*authority {
	var as []*authority
	for i := range t.authorities {
		if a := &t.authorities[i]; a.Covers(repo) {
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

// clone is a copy to be changed: lists and maps of it are replaced, never written to.
func (t *trust) clone() *trust {
	c := *t
	c.denials = slices.Clone(t.denials)
	c.revocations = slices.Clone(t.revocations)
	c.revoked = maps.Clone(t.revoked)
	c.tuf = maps.Clone(t.tuf)
	c.unwaived = maps.Clone(t.unwaived)
	return &c
}

// deny makes verdicts that were decided before this sequence be decided again before they are used.
func (t *trust) deny(d denial) {
	if len(d.Repositories) == 0 {
		return
	}
	d.Seq = t.seq
	t.denials = append(slices.DeleteFunc(t.denials, d.like), d)
	if len(t.denials) <= maxDenials {
		return
	}
	all := denial{Seq: t.seq, Repositories: everywhere, Evidence: true, Widening: true}
	for _, d := range t.denials {
		all.Evidence, all.Widening = all.Evidence && d.Evidence, all.Widening && d.Widening
	}
	t.denials = []denial{all}
}

var everywhere = store.Globs{"**"}

// revision names what any difference of doubts every verdict.
func (t *trust) revision() string { return t.engine.Revision() + t.borrowing }

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

// loadTrust runs before anything listens.
func (a *Admission) loadTrust(ctx context.Context) error {
	return a.local.Update(ctx, func(tx *store.Txn) error {
		state := trustState{Seq: 1}
		if b := tx.Doc(classTrust, docState); b != nil {
			if err := json.Unmarshal(b, &state); err != nil {
				return store.Errorf(store.CodeInternal, "the trust record is damaged; run assay check: %w", err)
			}
		}
		n := &trust{engine: a.o.Engine, config: a.o.Authorities, borrowing: borrowing(a.o.Rules) + preferring(a.o.Preferences), seq: state.Seq, denials: state.Denials, revoked: map[store.Digest][]Revocation{}, tuf: map[string]*pins.Set{}, waiverRules: a.o.Waivers}
		if err := n.loadDocs(tx); err != nil {
			return err
		}
		n.join(tx)
		if err := a.proveWaivers(ctx, n); err != nil {
			return err
		}
		before, err := lastAuthorities(tx)
		if err != nil {
			return err
		}
		waivers, err := lastWaivers(tx)
		if err != nil {
			return err
		}
		if n.seq++; n.revision() != state.Revision {
			n.deny(denial{Repositories: everywhere})
		}
		n.compareLast(before)
		if err := n.sealWaivers(tx, waivers); err != nil {
			return err
		}
		n.seal(tx)
		n.sealAuthorities(tx)
		pulls.Begin(tx, a.now())
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
	slices.SortFunc(t.runtime, func(x, y verify.Authority) int { return strings.Compare(x.Name, y.Name) })
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
	if err := t.loadOverlay(tx); err != nil {
		return err
	}
	if err := t.loadWaivers(tx); err != nil {
		return err
	}
	return t.loadTUF(tx.Records)
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
	a.tellGlass(t)
}

// change commits a change of trust and only then puts it into force, so that what is in force survives a restart. edit works on a copy,
// inside the transaction, and may run several times. What the change means for verdicts is found by comparing the authorities of before and after.
func (a *Admission) change(ctx context.Context, edit func(tx *store.Txn, t *trust) error) error {
	a.trustMu.Lock()
	defer a.trustMu.Unlock()
	return a.local.Update(ctx, func(tx *store.Txn) error {
		t := a.trust.Load().clone()
		before, waivers := t.authorities, t.waiverPrints()
		t.seq++
		if err := edit(tx, t); err != nil {
			return err
		}
		t.join(tx)
		if t.compare(before) {
			t.sealAuthorities(tx)
		}
		if err := a.proveWaivers(ctx, t); err != nil {
			return err
		}
		if err := t.sealWaivers(tx, waivers); err != nil {
			return err
		}
		t.seal(tx)
		tx.AfterCommit(func() { a.publish(t) })
		return nil
	})
}

// SetEngine puts another policy set into force. Any change of a set narrows: every verdict is decided again before it is used.
func (a *Admission) SetEngine(ctx context.Context, e contract.Engine) error {
	return a.change(ctx, func(_ *store.Txn, t *trust) error {
		if t.engine.Revision() != e.Revision() {
			t.deny(denial{Repositories: everywhere})
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
		t.config = slices.Clone(as)
		return nil
	})
}

func find(as []verify.Authority, name string) int {
	return slices.IndexFunc(as, func(a verify.Authority) bool { return a.Name == name })
}
