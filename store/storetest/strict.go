package storetest

import (
	"bytes"
	"context"
	"iter"

	"github.com/assay-registry/assay/store"
)

// Strict wraps kv so that slices of a transaction really are valid only inside it: they are overwritten when it ends. Run the tests of whatever
// uses a KV on it once, to find what keeps them.
func Strict(kv store.KV) store.KV { return strictKV{kv} }

type strictKV struct{ store.KV }

func (kv strictKV) View(ctx context.Context, fn func(store.ReadTx) error) error {
	return kv.KV.View(ctx, func(tx store.ReadTx) error {
		s := &strictTx{ReadTx: tx}
		defer s.spoil()
		return fn(s)
	})
}

func (kv strictKV) Update(ctx context.Context, check func(store.ReadTx) error, apply func(store.Tx)) error {
	strictCheck := check
	if check != nil {
		strictCheck = func(tx store.ReadTx) error {
			s := &strictTx{ReadTx: tx}
			defer s.spoil()
			return check(s)
		}
	}
	strictApply := apply
	if apply != nil {
		strictApply = func(tx store.Tx) {
			s := &strictTx{ReadTx: tx}
			defer s.spoil()
			apply(strictWriteTx{s, tx})
		}
	}
	return kv.KV.Update(ctx, strictCheck, strictApply)
}

// strictTx lends copies.
type strictTx struct {
	store.ReadTx
	lent [][]byte
}

func (s *strictTx) lend(b []byte) []byte {
	if b == nil {
		return nil
	}
	b = append(make([]byte, 0, len(b)), b...)
	s.lent = append(s.lent, b)
	return b
}

func (s *strictTx) spoil() {
	for _, b := range s.lent {
		copy(b, bytes.Repeat([]byte{0xDB}, len(b)))
	}
}

func (s *strictTx) Get(key []byte) []byte { return s.lend(s.ReadTx.Get(key)) }

func (s *strictTx) Scan(from, to []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func([]byte, []byte) bool) {
		for k, v := range s.ReadTx.Scan(from, to) {
			if !yield(s.lend(k), s.lend(v)) {
				return
			}
		}
	}
}

type strictWriteTx struct {
	*strictTx
	tx store.Tx
}

func (s strictWriteTx) Put(key, value []byte) { s.tx.Put(key, value) }
func (s strictWriteTx) Delete(key []byte)     { s.tx.Delete(key) }
