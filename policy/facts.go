package policy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// known is what the store keeps about one evidence manifest for one subject.
type known struct {
	Facts []verify.Fact `json:"facts"`
	// Trust names the authorities under which the facts were found; another set, or a subject that was not there yet, means: verify again.
	Trust    string       `json:"trust"`
	Found    verify.Found `json:"found"`
	Registry bool         `json:"registry,omitempty"` // the registry's own statement
	At       time.Time    `json:"at"`
}

func (k *known) verified() bool {
	return slices.ContainsFunc(k.Facts, func(f verify.Fact) bool { return f.Verified })
}

// Limits of what counts for one subject (semantics.md, "Evidence").
const (
	maxUnverified = 64
	maxVerified   = 64 // newest, per authority and predicate type
	maxLayers     = 64
	maxEvidence   = 40 << 20 // bytes of one layer
)

// verify judges one evidence manifest for a subject.
func (a *Admission) verify(ctx context.Context, tx *store.Txn, t *trust, subject verify.Subject, evidence store.Digest, found verify.Found) (*known, error) {
	e, err := a.load(ctx, tx, subject.Repository, evidence, found)
	if err != nil {
		return nil, err
	}
	as := t.covering(subject.Repository)
	report, err := a.o.Verifier.Verify(ctx, subject, []verify.Evidence{*e}, as)
	if err != nil {
		return nil, err
	}
	return &known{Facts: report.Facts, Trust: authorityRevision(as), Found: found, At: a.now()}, nil
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
	p, err := a.parse(tx, d, rec.MediaType)
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

// found are facts as they stand now.
type found struct {
	facts []verify.Fact
	next  time.Time // when a fact begins or ceases to count
}

func (f *found) and(g *found) *found {
	return &found{slices.Concat(f.facts, g.facts), earlier(f.next, g.next)}
}

// revision names the facts; empty if there are none.
func (f *found) revision() string {
	if len(f.facts) == 0 {
		return ""
	}
	b, err := json.Marshal(f.facts)
	if err != nil {
		return "unknown"
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// earlier is the earlier of two ends, of which a zero one is none.
func earlier(x, y time.Time) time.Time {
	if x.IsZero() || !y.IsZero() && y.Before(x) {
		return y
	}
	return x
}

// facts are those of one manifest's own evidence, verified again where trust has changed since.
func (a *Admission) facts(ctx context.Context, tx *store.Txn, t *trust, subject verify.Subject) (*found, error) {
	repo, d := subject.Repository, subject.Descriptor.Digest
	stored := tx.Facts(repo, d)
	revision := ""
	if len(stored) > 0 {
		revision = authorityRevision(t.covering(repo))
	}
	all := map[store.Digest]*known{}
	for evidence, b := range stored {
		k := new(known)
		if err := json.Unmarshal(b, k); err != nil {
			return nil, store.Errorf(store.CodeInternal, "the facts of %s are damaged; run assay check: %w", evidence, err)
		}
		if stands, err := a.stands(tx, t, repo, evidence); err != nil {
			return nil, err
		} else if !stands {
			continue
		}
		if !k.Registry && k.Trust != revision {
			again, err := a.verify(ctx, tx, t, subject, evidence, k.Found)
			if err != nil {
				return nil, err
			}
			again.At = k.At
			k = again
			putFacts(tx, repo, d, evidence, k)
		}
		all[evidence] = k
	}
	return count(all, a.now()), nil
}

// stands reports whether evidence counts at all: what is revoked, by its own digest or a blob's, proves nothing while the record is there.
func (a *Admission) stands(tx *store.Txn, t *trust, repo store.Name, evidence store.Digest) (bool, error) {
	if tx.Verdict(repo, evidence).State != store.StateEvidence {
		return false, nil
	}
	if len(t.revoked) == 0 {
		return true, nil
	}
	s, err := a.subject(tx, store.Item{Repository: repo, Digest: evidence})
	return err == nil && a.withdrawn(t, s) == nil, err
}

func putFacts(tx *store.Txn, repo store.Name, subject, evidence store.Digest, k *known) {
	b, err := json.Marshal(k)
	if err != nil {
		panic("policy: facts that do not marshal") // strings, times and decoded JSON
	}
	tx.PutFacts(repo, subject, evidence, b)
}

// count applies time and the limits: newest verified evidence first, then the rest oldest first, in an order that does not depend on a map's.
// Only what counts now takes one of the places.
func count(all map[store.Digest]*known, now time.Time) *found {
	order := make([]store.Digest, 0, len(all))
	for d := range all {
		order = append(order, d)
	}
	slices.SortFunc(order, func(x, y store.Digest) int {
		if c := all[y].At.Compare(all[x].At); c != 0 {
			return c
		}
		return cmpString(string(x), string(y))
	})
	type class struct{ authority, predicate string }
	seen := map[class]int{}
	f := &found{}
	for _, d := range order {
		f.next = earlier(f.next, (&verify.Report{Facts: all[d].Facts}).NextChange(now))
		for _, fact := range all[d].Facts {
			if fact = fact.At(now); fact.Verified {
				c := class{fact.Authority, fact.PredicateType}
				if seen[c]++; seen[c] > maxVerified {
					continue
				}
			}
			f.facts = append(f.facts, fact)
		}
	}
	return f
}

// Limits of how far evidence travels down (semantics.md, "The closure").
const (
	maxDepth = 4
	maxNodes = 10_000 // admitted ones: those that wait displace none
)

// inherited are the facts of the admitted indexes above a manifest, and its parents.
func (a *Admission) inherited(ctx context.Context, tx *store.Txn, t *trust, repo store.Name, d store.Digest) (*found, []store.Digest, error) {
	all, now := &found{}, a.now()
	parents := tx.Parents(repo, d)
	seen := map[store.Digest]bool{d: true}
	level, nodes := parents, 0
	for range maxDepth {
		var next []store.Digest
		for _, parent := range level {
			v := tx.Verdict(repo, parent)
			if seen[parent] || nodes > maxNodes || v.State != store.StateAdmitted || doubtful(tx.Records, t, now, store.Item{Repository: repo, Digest: parent}, v) {
				continue
			}
			seen[parent] = true
			nodes++
			rec, err := tx.Manifest(repo, parent)
			if err != nil {
				return nil, nil, err
			}
			own, err := a.facts(ctx, tx, t, subjectOf(repo, rec))
			if err != nil {
				return nil, nil, err
			}
			if len(own.facts) > 0 {
				own.next = earlier(own.next, rec.ValidUntil)
			}
			for i := range own.facts {
				own.facts[i].InheritedFrom = parent
			}
			all.facts, all.next = append(all.facts, own.facts...), earlier(all.next, own.next)
			next = append(next, tx.Parents(repo, parent)...)
		}
		level = next
	}
	return all, parents, nil
}

func subjectOf(repo store.Name, rec *store.ManifestRecord) verify.Subject {
	s := verify.Subject{Repository: repo, Descriptor: rec.Descriptor()}
	if det, err := rec.Detail(); err == nil {
		s.Alternate = det.Alternate
	}
	return s
}
