package verify

import (
	"context"

	"github.com/assay-registry/assay/store"
)

// Join is the verifier that asks each of several. Of one layer all proven facts stand; where there is none, the most telling refusal stands for all. What
// an engine says of a scheme that it does not serve ([Unserved]) stands only where no other engine says anything.
func Join(verifiers ...Verifier) Verifier { return joined(verifiers) }

type joined []Verifier

// Check asks every verifier; each knows its own kinds.
func (j joined) Check(a Authority) error {
	for _, v := range j {
		if err := v.Check(a); err != nil {
			return err
		}
	}
	return nil
}

// Unserved is what an engine answers for a layer of a scheme that it does not serve. f says what is known of the layer.
func Unserved(f Fact) Fact {
	f.Verified, f.Code, f.Message = false, CodeUnsupported, unserved(f.Scheme)
	return f
}

func unserved(s Scheme) string {
	switch s {
	case SchemeNotation:
		return "A Notary Project signature needs an authority of kind notation that speaks for the repository; an administrator adds one to the configuration."
	case SchemeNone:
		return "The document is not signed: whoever may push could have written it; sign it with cosign attest."
	}
	return "A signature of this form needs an authority of kind key, sigstore or x509 that speaks for the repository; an administrator adds one."
}

func (f Fact) unserved() bool {
	return !f.Verified && f.Code == CodeUnsupported && f.Message == unserved(f.Scheme)
}

// place is a layer of an evidence manifest. Two layers of the same bytes (cosign writes one for each signature of a payload) share theirs.
type place struct{ evidence, layer store.Digest }

// Verify is [Verifier]. The layers of the report are in the order of the first verifier's.
func (j joined) Verify(ctx context.Context, subject Subject, evidence []Evidence, authorities []Authority) (*Report, error) {
	said := map[place][][]Fact{} // by engine, of those that serve the layer
	var order []place
	nobody := map[place]Fact{}
	for n, v := range j {
		r, err := v.Verify(ctx, subject, evidence, authorities)
		if err != nil {
			return nil, err
		}
		for _, f := range r.Facts {
			p := place{f.Evidence, f.Layer}
			if said[p] == nil {
				said[p] = make([][]Fact, len(j))
				order = append(order, p)
			}
			if f.unserved() {
				nobody[p] = f
				continue
			}
			said[p][n] = append(said[p][n], f)
		}
	}
	report := &Report{Facts: []Fact{}}
	for _, p := range order {
		facts := merge(said[p])
		if len(facts) == 0 {
			facts = []Fact{nobody[p]}
		}
		report.Facts = append(report.Facts, facts...)
	}
	return report, nil
}

// merge are the facts of one layer. One engine's stand as they are: if its bytes occur twice, so do they. Of several engines' all proven facts stand, or the refusal
// that says most.
func merge(engines [][]Fact) []Fact {
	var all [][]Fact
	for _, facts := range engines {
		if len(facts) > 0 {
			all = append(all, facts)
		}
	}
	if len(all) == 1 {
		return all[0]
	}
	var proven []Fact
	var telling *Fact
	for _, facts := range all {
		for i := range facts {
			switch f := &facts[i]; {
			case f.Verified:
				proven = append(proven, *f)
			case telling == nil || f.Code.Tells(telling.Code):
				telling = f
			}
		}
	}
	if len(proven) > 0 || telling == nil {
		return proven
	}
	return []Fact{*telling}
}
