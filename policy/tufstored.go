package policy

import (
	"context"

	"github.com/assay-registry/assay/policy/pins"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// StoredTUF is what TUF repositories said last, by authority, as the store holds it: for whoever compiles policies before there is an Admission. What
// New would drop, because nobody trusts the repository any more or another first root is trusted now, is left out.
func StoredTUF(ctx context.Context, local *store.Local, authorities []verify.Authority) (map[string]*verify.TUFState, error) {
	states := map[string]*verify.TUFState{}
	err := local.View(ctx, func(s store.Snapshot) error {
		t := &trust{tuf: map[string]*pins.Set{}}
		if err := t.loadTUF(s.Records); err != nil {
			return err
		}
		for _, a := range authorities {
			if n := t.tuf[a.Name]; n != nil && a.Kind == verify.KindTUF && n.Anchor == rootHash(a) {
				states[a.Name] = n.TUFState
			}
		}
		return nil
	})
	return states, err
}
