package bolt

import (
	"context"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/assay-registry/assay/store"
)

// one commits a change and tells in which transaction of the file that was.
func one(t *testing.T, ctx context.Context, kv *KV) (id int) {
	t.Helper()
	if err := kv.Update(ctx, nil, func(tx store.Tx) {
		tx.Put([]byte("k"), nil)
		id = tx.(writeTx).b.Tx().ID()
	}); err != nil && store.CodeOf(err) != store.CodeUnavailable {
		t.Error(err)
	}
	return id
}

// What is patient shares the commit of somebody who is not, where there is somebody.
func TestWhoIsPatientSharesACommit(t *testing.T) {
	kv, err := Open(filepath.Join(t.TempDir(), "meta.db"), Options{Patience: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	patient := store.Patient(t.Context())
	if first := one(t, patient, kv); first == 0 { // there is nobody to wait for
		t.Fatal("not committed")
	}
	ids := []int{one(t, t.Context(), kv)}
	shared := make(chan int)
	go func() { shared <- one(t, patient, kv) }()
	for {
		ids = append(ids, one(t, t.Context(), kv))
		select {
		case id := <-shared:
			if !slices.Contains(ids, id) {
				t.Errorf("committed alone, as %d, beside %v", id, ids)
			}
			var wg sync.WaitGroup
			wg.Go(func() { one(t, patient, kv) })
			if err := kv.Close(); err != nil { // answers who waits
				t.Error(err)
			}
			wg.Wait()
			return
		default:
		}
	}
}

// Patience ends, and where nobody came nobody is waited for again.
func TestPatienceEnds(t *testing.T) {
	kv, err := Open(filepath.Join(t.TempDir(), "meta.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = kv.Close() }()
	one(t, t.Context(), kv)
	for range 3 {
		one(t, store.Patient(t.Context()), kv)
	}
}
