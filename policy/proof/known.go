package proof

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// Known is what the store keeps about one evidence manifest for one subject: under each authority that covers the repository, what it says by itself.
type Known struct {
	Under map[string]Judged `json:"under,omitempty"` // by the authority's name; "" where there is none
	Facts []verify.Fact     `json:"facts,omitempty"` // of the registry's own statement: given, not verified
	// Elsewhere is Under for the same digest in the repositories that borrow this evidence.
	Elsewhere map[store.Name]map[string]Judged `json:"elsewhere,omitempty"`
	Found     verify.Found                     `json:"found"`
	Registry  bool                             `json:"registry,omitempty"` // the registry's own statement
	Again     bool                             `json:"again,omitempty"`    // when it came, it proved nothing that was not proven already
	At        time.Time                        `json:"at"`
}

// Judged are the facts under one revision of an authority, or under none: then the subject was not there yet. Under another they are found anew.
type Judged struct {
	Revision string        `json:"revision"`
	Facts    []verify.Fact `json:"facts"`
}

func (k *Known) verified() bool {
	for _, under := range append(slices.Collect(maps.Values(k.Elsewhere)), k.Under) {
		for _, j := range under {
			if slices.ContainsFunc(j.Facts, Proven) {
				return true
			}
		}
	}
	return slices.ContainsFunc(k.Facts, Proven)
}

// Idle reports whether it adds nothing: of such manifests a limited number is kept.
func (k *Known) Idle() bool { return k.Again || !k.verified() }

// Subject is a stored manifest as what evidence is about: a name in a repository, with its other digest where it has one.
func Subject(repo store.Name, rec *store.ManifestRecord) verify.Subject {
	s := verify.Subject{Repository: repo, Descriptor: rec.Descriptor()}
	if det, err := rec.Detail(); err == nil {
		s.Alternate = det.Alternate
	}
	return s
}

// Proven reports whether a fact is one.
func Proven(f verify.Fact) bool { return f.Verified }

// MaxDepth is how many levels of indexes evidence travels down (semantics.md, "The closure").
const MaxDepth = 4

// nobody is the revision of no authority at all.
const nobody = "none"

// Verify has the verifier judge one evidence manifest for a subject under each authority under which that was not done yet, or under which it was another, and forgets those
// that are gone. load reads the manifest, at most once and only where it is needed. It reports whether anything is not as it was.
func (k *Known) Verify(ctx context.Context, v verify.Verifier, covering []*trust.Authority, subject verify.Subject, load func() (*verify.Evidence, error)) (changed bool, err error) {
	if k.Registry {
		return false, nil
	}
	var e *verify.Evidence
	under := make(map[string]Judged, len(covering))
	one := func(name, revision string, au *trust.Authority) error {
		if j, ok := k.Under[name]; ok && j.Revision == revision {
			under[name] = j
			return nil
		}
		if e == nil {
			if e, err = load(); err != nil {
				return err
			}
		}
		report, err := v.Verify(ctx, subject, []verify.Evidence{*e}, au.Asked())
		if err != nil {
			return err
		}
		if au != nil && au.Bare() {
			au.Waiting(report.Facts)
		}
		under[name], changed = Judged{revision, report.Facts}, true
		return nil
	}
	for _, au := range covering {
		if au.Kind == verify.KindTUF {
			continue // what it says of a manifest is no evidence that somebody pushed
		}
		if err := one(au.Name, au.Revision(), au); err != nil {
			return false, err
		}
	}
	if len(under) == 0 {
		if err := one("", nobody, nil); err != nil {
			return false, err
		}
	}
	changed = changed || len(under) != len(k.Under)
	k.Under = under
	return changed, nil
}

// Told are the facts as policies are told them: of each layer what is proven, under whichever authorities, or the refusal that says most.
func (k *Known) Told(covering []*trust.Authority, now time.Time) []verify.Fact {
	if k.Registry {
		return k.Facts
	}
	if len(k.Under) == 1 { // under one authority, each is all there is about its layer
		var all []verify.Fact
		k.Each(covering, now, func(_ string, facts []verify.Fact) { all = facts })
		return all
	}
	type place struct {
		layer store.Digest
		n     int // of layers with the same bytes, in order
	}
	all := map[place][]verify.Fact{}
	var order []place
	k.Each(covering, now, func(_ string, facts []verify.Fact) {
		seen := map[store.Digest]int{}
		for _, f := range facts {
			p := place{f.Layer, seen[f.Layer]}
			seen[f.Layer]++
			if all[p] == nil {
				order = append(order, p)
			}
			all[p] = append(all[p], f)
		}
	})
	var facts []verify.Fact
	for _, p := range order {
		facts = append(facts, best(all[p])...)
	}
	return facts
}

// Each gives what is known under each authority, by name, as it stands now.
func (k *Known) Each(covering []*trust.Authority, now time.Time, do func(name string, facts []verify.Fact)) {
	for _, name := range slices.Sorted(maps.Keys(k.Under)) {
		var au *trust.Authority
		if i := slices.IndexFunc(covering, func(au *trust.Authority) bool { return au.Name == name }); i >= 0 {
			au = covering[i]
		}
		facts := slices.Clone(k.Under[name].Facts)
		for i := range facts {
			facts[i] = au.At(facts[i], now)
		}
		do(name, facts)
	}
}

// best are the proven facts of one layer, or the refusal that says most.
func best(facts []verify.Fact) []verify.Fact {
	telling := 0
	var all []verify.Fact
	for i, f := range facts {
		if f.Verified {
			all = append(all, f)
		} else if f.Code.Tells(facts[telling].Code) {
			telling = i
		}
	}
	if len(all) > 0 {
		return all
	}
	return []verify.Fact{facts[telling]}
}

// Next is when a fact begins or ceases to count.
func (k *Known) Next(covering []*trust.Authority, now time.Time) time.Time {
	var next time.Time
	for name, j := range k.Under {
		next = contract.Earlier(next, (&verify.Report{Facts: j.Facts}).NextChange(now))
		if i := slices.IndexFunc(covering, func(au *trust.Authority) bool { return au.Name == name }); i >= 0 && slices.ContainsFunc(j.Facts, Proven) {
			if end := covering[i].Ends(); end.After(now) {
				next = contract.Earlier(next, end)
			}
		}
	}
	return next
}
