package storetest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/assay-registry/assay/store"
)

// kvSnapshot commits, from another goroutine, in the middle of a View.
func kvSnapshot(t *testing.T, kv store.KV) {
	put(t, kv, "a=1", "b=1")
	err := kv.View(context.Background(), func(tx store.ReadTx) error {
		committed := make(chan error)
		go func() {
			committed <- kv.Update(context.Background(), nil, func(tx store.Tx) {
				tx.Put([]byte("a"), []byte("2"))
				tx.Delete([]byte("b"))
				tx.Put([]byte("c"), []byte("2"))
			})
		}()
		if err := <-committed; err != nil {
			return err
		}
		if got := dump(tx, nil, nil); !slices.Equal(got, []string{"a=1", "b=1"}) {
			t.Errorf("the view changed under its reader: %q", got)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	want(t, kv, "a=2", "c=2")
}

func kvCancelled(t *testing.T, kv store.KV) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := kv.Update(ctx, func(store.ReadTx) error { t.Error("check ran"); return nil }, func(store.Tx) { t.Error("apply ran") })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Update: %v", err)
	}
	if err := kv.View(ctx, func(store.ReadTx) error { t.Error("View ran"); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("View: %v", err)
	}
	want(t, kv)
}

func kvSubmitted(t *testing.T, kv store.KV) {
	ctx, cancel := context.WithCancel(context.Background())
	err := kv.Update(ctx, func(store.ReadTx) error { cancel(); return nil }, func(tx store.Tx) { tx.Put([]byte("a"), []byte("1")) })
	if err != nil {
		t.Errorf("Update: %v", err)
	}
	want(t, kv, "a=1")
}

// parallel runs fn n times at once and waits.
func parallel(n int, fn func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { fn(i) })
	}
	wg.Wait()
}

// kvClaims lets many callers claim one name: a check must see what was applied before it in the same commit.
func kvClaims(t *testing.T, kv store.KV) {
	taken := store.Errorf(store.CodeConflict, "taken")
	for round := range 20 {
		key := fmt.Appendf(nil, "claim-%d", round)
		var mu sync.Mutex
		var winners []int
		parallel(16, func(i int) {
			err := kv.Update(context.Background(), func(tx store.ReadTx) error {
				if tx.Get(key) != nil {
					return taken
				}
				return nil
			}, func(tx store.Tx) { tx.Put(key, []byte{byte(i)}) })
			switch {
			case err == nil:
				mu.Lock()
				winners = append(winners, i)
				mu.Unlock()
			case !errors.Is(err, taken):
				t.Errorf("Update: %v", err)
			}
		})
		err := kv.View(context.Background(), func(tx store.ReadTx) error {
			if len(winners) != 1 || !slices.Equal(tx.Get(key), []byte{byte(winners[0])}) {
				t.Errorf("winners %v, the store says %v", winners, tx.Get(key))
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// kvIncrements decides in check and writes in apply. Both may run several times, so check sets what apply uses.
func kvIncrements(t *testing.T, kv store.KV) {
	const callers, each = 16, 25
	parallel(callers, func(int) {
		for range each {
			var next uint64
			err := kv.Update(context.Background(), func(tx store.ReadTx) error {
				next = 1
				if v := tx.Get([]byte("n")); v != nil {
					next = binary.BigEndian.Uint64(v) + 1
				}
				return nil
			}, func(tx store.Tx) { tx.Put([]byte("n"), binary.BigEndian.AppendUint64(nil, next)) })
			if err != nil {
				t.Errorf("Update: %v", err)
			}
		}
	})
	err := kv.View(context.Background(), func(tx store.ReadTx) error {
		if got := binary.BigEndian.Uint64(tx.Get([]byte("n"))); got != callers*each {
			t.Errorf("%d increments arrived, want %d", got, callers*each)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// kvWholeCommits writes two keys together; readers must never see them apart, and never see time run backwards.
func kvWholeCommits(t *testing.T, kv store.KV) {
	put(t, kv, "left=0000", "right=0000")
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			last := ""
			for {
				select {
				case <-stop:
					return
				default:
				}
				err := kv.View(context.Background(), func(tx store.ReadTx) error {
					l, r := string(tx.Get([]byte("left"))), string(tx.Get([]byte("right")))
					if l != r || l < last {
						t.Errorf("a reader sees %q and %q after %q", l, r, last)
					}
					last = l
					return nil
				})
				if err != nil {
					t.Errorf("View: %v", err)
				}
			}
		})
	}
	for i := range 200 {
		v := fmt.Sprintf("%04d", i+1)
		put(t, kv, "left="+v, "right="+v)
	}
	close(stop)
	readers.Wait()
}

// kvClose closes while callers write: each gets a whole success or CodeUnavailable, and later calls are refused.
func kvClose(t *testing.T, kv store.KV) {
	started := make(chan struct{}, 16)
	var callers sync.WaitGroup
	for i := range 16 {
		callers.Go(func() {
			for n := 0; ; n++ {
				err := kv.Update(context.Background(), nil, func(tx store.Tx) { tx.Put(fmt.Appendf(nil, "%d-%d", i, n), nil) })
				if n == 0 {
					started <- struct{}{}
				}
				if err != nil {
					if store.CodeOf(err) != store.CodeUnavailable {
						t.Errorf("Update while closing: %v", err)
					}
					return
				}
			}
		})
	}
	for range 16 {
		<-started
	}
	if err := kv.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	callers.Wait()
	if err := kv.Update(context.Background(), nil, func(store.Tx) { t.Error("apply ran") }); store.CodeOf(err) != store.CodeUnavailable {
		t.Errorf("Update after Close: %v", err)
	}
	if err := kv.View(context.Background(), func(store.ReadTx) error { t.Error("View ran"); return nil }); store.CodeOf(err) != store.CodeUnavailable {
		t.Errorf("View after Close: %v", err)
	}
	if err := kv.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
}
