package storetest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/assay-registry/assay/store"
)

// kvModel drives random transactions and compares the whole store, ranges and single keys with a map.
func kvModel(t *testing.T, kv store.KV) {
	r := rand.New(rand.NewPCG(1, 2))
	model := map[string]string{}
	key := func() []byte {
		k := make([]byte, 1+r.IntN(3))
		for i := range k {
			k[i] = "ab\x00\xff"[r.IntN(4)]
		}
		return k
	}
	refused := errors.New("refused")
	for range 400 {
		next := map[string]string{}
		for k, v := range model {
			next[k] = v
		}
		ops := make([]struct{ k, v []byte }, r.IntN(6))
		for i := range ops {
			ops[i].k = key()
			if r.IntN(3) > 0 {
				ops[i].v = bytes.Repeat([]byte{byte(r.IntN(256))}, r.IntN(2)*r.IntN(3000))
				next[string(ops[i].k)] = string(ops[i].v)
			} else {
				delete(next, string(ops[i].k))
			}
		}
		refuse := r.IntN(5) == 0
		err := kv.Update(context.Background(), func(tx store.ReadTx) error {
			compare(t, tx, model, key(), key())
			if refuse {
				return refused
			}
			return nil
		}, func(tx store.Tx) {
			for _, o := range ops {
				if o.v != nil {
					tx.Put(o.k, o.v)
				} else {
					tx.Delete(o.k)
				}
			}
			compare(t, tx, next, key(), key())
		})
		if refuse != (err == refused) || !refuse && err != nil {
			t.Fatalf("Update: %v", err)
		}
		if !refuse {
			model = next
		}
		if err := kv.View(context.Background(), func(tx store.ReadTx) error { compare(t, tx, model, key(), key()); return nil }); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			return
		}
	}
}

// compare checks all of tx, the range from..to and the key from against the model.
func compare(t testing.TB, tx store.ReadTx, model map[string]string, from, to []byte) {
	t.Helper()
	var all, part []string
	for k, v := range model {
		all = append(all, k+"="+v)
		if k >= string(from) && k < string(to) {
			part = append(part, k+"="+v)
		}
	}
	byKey := func(a, b string) int {
		return strings.Compare(a[:strings.IndexByte(a, '=')], b[:strings.IndexByte(b, '=')])
	}
	slices.SortFunc(all, byKey)
	slices.SortFunc(part, byKey)
	if got := dump(tx, nil, nil); !slices.Equal(got, all) {
		t.Errorf("store holds %.200q, want %.200q", got, all)
	}
	if got := dump(tx, from, to); !slices.Equal(got, part) {
		t.Errorf("Scan(%q, %q) = %.200q, want %.200q", from, to, got, part)
	}
	v, ok := model[string(from)]
	if got := tx.Get(from); (got != nil) != ok || string(got) != v {
		t.Errorf("Get(%q) = %.40q, want %.40q (%v)", from, got, v, ok)
	}
}
