package store_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/assay-registry/assay/store"
)

// audited appends n records, two in each transaction.
func (k *kit) audited(n int) {
	k.Helper()
	for i := 0; i < n; i += 2 {
		if err := k.l.Update(k.ctx, func(tx *store.Txn) error {
			tx.Audit(time.Unix(1_800_000_000+int64(i), 0), []byte(`{"action":"push"}`))
			tx.Audit(time.Unix(1_800_000_000-int64(i), 0), []byte(`{"action":"delete"}`)) // an earlier key, linked later
			return nil
		}); err != nil {
			k.Fatal(err)
		}
	}
}

// follow counts the links that are right.
func (k *kit) follow() (right int, unlinked int) {
	k.Helper()
	next := uint64(1)
	unlinked, err := k.l.FollowAudit(k.ctx, func(l store.AuditLink, hash string, there bool) {
		if l.Seq == next && l.Hash == hash && there {
			right++
		}
		next = l.Seq + 1
	})
	if err != nil {
		k.Fatal(err)
	}
	return right, unlinked
}

func TestAuditRecordsAreChained(t *testing.T) {
	onEach(t, func(t *testing.T, k *kit) {
		k.audited(3000) // more than a page
		if right, unlinked := k.follow(); right != 3000 || unlinked != 0 {
			t.Errorf("%d of 3000 links are right, %d records have none", right, unlinked)
		}
		var size uint64
		var head string
		if err := k.l.View(k.ctx, func(s store.Snapshot) error {
			size, head = s.AuditHead()
			return nil
		}); err != nil || size != 3000 || len(head) != 64 {
			t.Errorf("%d %s %v", size, head, err)
		}
	})
}

// TestAuditAppendsNeverConflict: the chain costs no transaction a retry.
func TestAuditAppendsNeverConflict(t *testing.T) {
	onEach(t, func(t *testing.T, k *kit) {
		runs := 0
		if err := k.l.Update(k.ctx, func(tx *store.Txn) error {
			runs++
			tx.Audit(time.Unix(1, 0), []byte(`{}`))
			return k.l.Update(k.ctx, func(other *store.Txn) error { // commits between
				other.Audit(time.Unix(2, 0), []byte(`{}`))
				return nil
			})
		}); err != nil || runs != 1 {
			t.Errorf("%d runs, %v", runs, err)
		}
		if right, _ := k.follow(); right != 2 {
			t.Errorf("%d links are right", right)
		}
	})
}

// Of records that nobody linked it is said how many there are, whatever the chain's length; those that came with a link while the chain was read are not among them.
func TestRecordsWithoutALinkAreCounted(t *testing.T) {
	onEach(t, func(t *testing.T, k *kit) {
		k.audited(2500)
		planted := 0
		plant := func() {
			planted++
			id := fmt.Sprintf("%016x%016x", time.Unix(1_800_000_000, int64(planted)).UnixNano(), planted)
			if err := k.kv.Update(k.ctx, func(store.ReadTx) error { return nil }, func(tx store.Tx) { tx.Put([]byte("a"+id), []byte("{}")) }); err != nil {
				t.Fatal(err)
			}
		}
		if _, unlinked := k.follow(); unlinked != 0 {
			t.Errorf("%d of none", unlinked)
		}
		plant()
		if right, unlinked := k.follow(); right != 2500 || unlinked != 1 {
			t.Errorf("%d right, %d of 1", right, unlinked)
		}
		for range 40 {
			plant()
		}
		if _, unlinked := k.follow(); unlinked != 41 {
			t.Errorf("%d of 41", unlinked)
		}
		h := &hooked{KV: k.kv}
		k.kv = h
		k.start()
		for at := 1; at < 9; at++ {
			h.views, h.before = 0, func(view int) {
				if view == at {
					k.audited(10) // of times that are in the middle of the others
				}
			}
			if _, unlinked := k.follow(); unlinked != 41 || h.views < at {
				t.Errorf("written before view %d of %d: %d of 41", at, h.views, unlinked)
			}
		}
	})
}

// hooked lets something happen before each view.
type hooked struct {
	store.KV
	views  int
	before func(view int)
}

func (h *hooked) View(ctx context.Context, fn func(store.ReadTx) error) error {
	if h.views++; h.before != nil {
		h.before(h.views)
	}
	return h.KV.View(ctx, fn)
}

// Following a chain takes as much memory as its pages do, however long it is.
func TestFollowingAChainKeepsNoIDs(t *testing.T) {
	k := inMemory(t)
	const n = 20_000
	k.audited(n)
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	var from, to int64
	if unlinked, err := k.l.FollowAudit(k.ctx, func(l store.AuditLink, _ string, _ bool) {
		switch l.Seq {
		case 1:
			from = heap()
		case n:
			to = heap()
		}
	}); err != nil || unlinked != 0 {
		t.Fatal(unlinked, err)
	}
	if grown := to - from; grown > 1<<20 {
		t.Errorf("%d records take %d KiB", n, grown>>10)
	}
}
