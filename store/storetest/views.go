package storetest

import (
	"context"
	"iter"

	"github.com/assay-registry/assay/store"
)

// Views tells what is read of a key-value store, and lets something happen before each view. It is for one goroutine at a time.
type Views struct {
	store.KV
	Count  int            // of views
	Reads  int            // values and pairs that all of them read
	Most   int            // that one of them read
	Before func(view int) // nil: nothing; views are counted from 1
}

// View is [store.KV.View], counted.
func (v *Views) View(ctx context.Context, fn func(store.ReadTx) error) error {
	v.Count++
	if v.Before != nil {
		v.Before(v.Count)
	}
	var tx viewTx
	err := v.KV.View(ctx, func(inner store.ReadTx) error {
		tx.ReadTx = inner
		return fn(&tx)
	})
	v.Reads += tx.reads
	v.Most = max(v.Most, tx.reads)
	return err
}

type viewTx struct {
	store.ReadTx
	reads int
}

func (t *viewTx) Get(key []byte) []byte {
	t.reads++
	return t.ReadTx.Get(key)
}

func (t *viewTx) Scan(from, to []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func([]byte, []byte) bool) {
		for key, value := range t.ReadTx.Scan(from, to) {
			t.reads++
			if !yield(key, value) {
				return
			}
		}
	}
}
