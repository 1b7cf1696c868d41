package policy

import (
	"context"
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

// facts are those of one manifest's own evidence, verified again where trust has changed since.
func (a *Admission) facts(ctx context.Context, tx *store.Txn, t *trust, subject verify.Subject) ([]verify.Fact, error) {
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

func putFacts(tx *store.Txn, repo store.Name, subject, evidence store.Digest, k *known) {
	b, err := json.Marshal(k)
	if err != nil {
		panic("policy: facts that do not marshal") // strings, times and decoded JSON
	}
	tx.PutFacts(repo, subject, evidence, b)
}

// count applies time and the limits: newest verified evidence first, then the rest oldest first, in an order that does not depend on a map's.
func count(all map[store.Digest]*known, now time.Time) []verify.Fact {
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
	var facts []verify.Fact
	for _, d := range order {
		for _, f := range all[d].Facts {
			if f.Verified {
				c := class{f.Authority, f.PredicateType}
				if seen[c]++; seen[c] > maxVerified {
					continue
				}
				f = f.At(now)
			}
			facts = append(facts, f)
		}
	}
	return facts
}

// Limits of how far evidence travels down (semantics.md, "The closure").
const (
	maxDepth = 4
	maxNodes = 10_000
)

// inherited are the facts of the admitted indexes above a manifest. assume counts one index as admitted: its verdict is in the same transaction.
func (a *Admission) inherited(ctx context.Context, tx *store.Txn, t *trust, repo store.Name, d store.Digest, assume store.Digest) ([]verify.Fact, []store.Digest, error) {
	var facts []verify.Fact
	parents := tx.Parents(repo, d)
	seen := map[store.Digest]bool{d: true}
	level := parents
	for range maxDepth {
		var next []store.Digest
		for _, parent := range level {
			if seen[parent] || len(seen) > maxNodes {
				continue
			}
			seen[parent] = true
			rec, err := tx.Manifest(repo, parent)
			if err != nil {
				return nil, nil, err
			}
			if rec == nil || rec.State != store.StateAdmitted && parent != assume {
				continue
			}
			own, err := a.facts(ctx, tx, t, subjectOf(repo, rec))
			if err != nil {
				return nil, nil, err
			}
			for _, f := range own {
				f.InheritedFrom = parent
				facts = append(facts, f)
			}
			next = append(next, tx.Parents(repo, parent)...)
		}
		level = next
	}
	return facts, parents, nil
}

func subjectOf(repo store.Name, rec *store.ManifestRecord) verify.Subject {
	s := verify.Subject{Repository: repo, Descriptor: rec.Descriptor()}
	if det, err := rec.Detail(); err == nil {
		s.Alternate = det.Alternate
	}
	return s
}
