package store_test

import (
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
