package storetest_test

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
	"github.com/assay-registry/assay/store/storetest"
)

// A decorator that does nothing must not be noticed.
func TestDecoratorsConform(t *testing.T) {
	t.Run("Faults.KV", func(t *testing.T) {
		storetest.TestKV(t, func(*testing.T) store.KV { return new(storetest.Faults).KV(mem.NewKV()) })
	})
	t.Run("Strict", func(t *testing.T) {
		storetest.TestKV(t, func(*testing.T) store.KV { return storetest.Strict(mem.NewKV()) })
	})
	blobs := func(_ *testing.T, now func() time.Time) store.Blobs {
		b := mem.NewBlobs(rand.Reader)
		b.Now = now
		return new(storetest.Faults).Blobs(b)
	}
	t.Run("Faults.Blobs", func(t *testing.T) { storetest.TestBlobs(t, blobs) })
	t.Run("Faults.Blobs sweeps", func(t *testing.T) { storetest.TestSweeper(t, blobs) })
}

func TestFaultsOfKV(t *testing.T) {
	set := func(tx store.Tx) { tx.Put([]byte("a"), []byte("1")) }
	for _, c := range []struct {
		outcome storetest.Outcome
		code    store.Code
		value   string
	}{{storetest.Pass, "", "1"}, {storetest.Lost, store.CodeUnavailable, ""}, {storetest.Kept, store.CodeUnavailable, "1"}} {
		f := &storetest.Faults{Decide: storetest.Nth(2, c.outcome)}
		kv := f.KV(mem.NewKV())
		if err := kv.Update(context.Background(), nil, func(store.Tx) {}); err != nil {
			t.Error(err)
		}
		if err := kv.Update(context.Background(), nil, set); store.CodeOf(err) != c.code {
			t.Errorf("%v: %v", c.outcome, err)
		}
		err := kv.View(context.Background(), func(tx store.ReadTx) error {
			if got := string(tx.Get([]byte("a"))); got != c.value {
				t.Errorf("%v: %q", c.outcome, got)
			}
			return nil
		})
		if err != nil || f.Writes() != 2 {
			t.Errorf("%d writes, %v", f.Writes(), err)
		}
	}
}

func TestFaultsOfBlobs(t *testing.T) {
	content := strings.Repeat("x", store.InlineLimit+1)
	d := store.DigestOf("sha256", []byte(content))
	for _, c := range []struct {
		outcome storetest.Outcome
		held    bool
	}{{storetest.Lost, false}, {storetest.Kept, true}} {
		b := (&storetest.Faults{Decide: func(_ int, op string) storetest.Outcome {
			if op == "seal" {
				return c.outcome
			}
			return storetest.Pass
		}}).Blobs(mem.NewBlobs(rand.Reader))
		i, err := b.Ingest(context.Background(), store.IngestOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := i.Append(context.Background(), 0, strings.NewReader(content)); err != nil {
			t.Error(err)
		}
		if s, err := i.Seal(context.Background(), d); store.CodeOf(err) != store.CodeUnavailable || s.Size != 0 {
			t.Errorf("%+v, %v", s, err)
		}
		if _, err := b.Stat(context.Background(), d); (err == nil) != c.held {
			t.Errorf("outcome %v: Stat %v", c.outcome, err)
		}
	}
}

// TestStrictSpoils: what a transaction lent is worthless afterwards.
func TestStrictSpoils(t *testing.T) {
	kv := storetest.Strict(mem.NewKV())
	var kept [][]byte
	keep := func(tx store.ReadTx) error {
		kept = append(kept, tx.Get([]byte("a")))
		for k, v := range tx.Scan(nil, nil) {
			kept = append(kept, k, v)
		}
		return nil
	}
	put := func(tx store.Tx) {
		tx.Put([]byte("a"), []byte("1"))
		_ = keep(tx)
	}
	if err := kv.Update(context.Background(), nil, put); err != nil {
		t.Fatal(err)
	}
	if err := kv.Update(context.Background(), keep, nil); err != nil {
		t.Fatal(err)
	}
	if err := kv.View(context.Background(), keep); err != nil {
		t.Fatal(err)
	}
	if len(kept) != 9 {
		t.Fatalf("%d slices", len(kept))
	}
	for _, b := range kept {
		if string(b) != "\xdb" {
			t.Errorf("still %q", b)
		}
	}
	err := kv.View(context.Background(), func(tx store.ReadTx) error {
		if got := string(tx.Get([]byte("a"))); got != "1" {
			t.Errorf("the store itself was spoilt: %q", got)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
