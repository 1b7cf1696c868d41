package verify

import (
	"context"

	"github.com/assay-registry/assay/store"
)

// Join is the verifier that asks each of several. Of one layer all proven facts stand; where there is none, the most telling refusal stands for all.
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

// Verify is [Verifier]. The first verifier's order of layers is that of the report.
func (j joined) Verify(ctx context.Context, subject Subject, evidence []Evidence, authorities []Authority) (*Report, error) {
	type layer struct{ evidence, layer store.Digest }
	all := map[layer][]Fact{}
	var order []layer
	for _, v := range j {
		r, err := v.Verify(ctx, subject, evidence, authorities)
		if err != nil {
			return nil, err
		}
		for _, f := range r.Facts {
			l := layer{f.Evidence, f.Layer}
			if _, known := all[l]; !known {
				order = append(order, l)
			}
			all[l] = append(all[l], f)
		}
	}
	report := &Report{Facts: []Fact{}}
	for _, l := range order {
		report.Facts = append(report.Facts, best(all[l])...)
	}
	return report, nil
}

// best are the proven facts of one layer, or the refusal that says most. That an engine does not know a scheme says least: another one does.
func best(facts []Fact) []Fact {
	var proven []Fact
	var telling *Fact
	for i := range facts {
		f := &facts[i]
		switch {
		case f.Verified:
			proven = append(proven, *f)
		case telling == nil, telling.Code == CodeUnsupported && f.Code != CodeNoAuthority,
			f.Code != CodeUnsupported && f.Code.Tells(telling.Code):
			telling = f
		}
	}
	if len(proven) > 0 || telling == nil {
		return proven
	}
	return []Fact{*telling}
}
