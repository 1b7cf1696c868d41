package index

import (
	"bytes"
	"context"
	"math"
	"slices"

	"github.com/assay-registry/assay/store"
)

// resetPage is how many records one commit of Reset removes.
const resetPage = 10_000

// Reset empties the index, queue included, for a caller that puts every stored inventory again: the way out of damage. Numbers go on where they were, unless
// the record of counters itself is what is damaged, or half of them are given. Numbering is another in any case.
func (x *Index) Reset(ctx context.Context) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for from := []byte{0}; from != nil; {
		var page []store.Pair
		if err := x.local.View(ctx, func(s store.Snapshot) error {
			page = s.Space(space).Scan(from, nil, resetPage)
			return nil
		}); err != nil {
			return err
		}
		if err := x.local.Update(ctx, func(tx *store.Txn) error {
			s := tx.Space(space)
			for _, p := range page {
				if c, err := readCounters(p.Value); err != nil || slices.Max(c[:]) > math.MaxUint32/2 || !bytes.Equal(p.Key, []byte("#")) {
					s.Delete(p.Key)
				}
			}
			return nil
		}); err != nil {
			return err
		}
		if from = nil; len(page) == resetPage {
			from = append(page[resetPage-1].Key, 0)
		}
	}
	return nil
}
