package policy_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
)

// copyKV copies every record.
func copyKV(k *kit) store.KV {
	k.t.Helper()
	to := mem.NewKV()
	if err := k.kv.View(k.ctx, func(from store.ReadTx) error {
		return to.Update(k.ctx, func(store.ReadTx) error { return nil }, func(tx store.Tx) {
			for key, value := range from.Scan([]byte{0}, nil) {
				tx.Put(key, value)
			}
		})
	}); err != nil {
		k.t.Fatal(err)
	}
	return to
}

// audits are the keys of the audit records in the order of their links, and the links' keys.
func audits(k *kit, kv store.KV) (records, links [][]byte) {
	k.t.Helper()
	if err := kv.View(k.ctx, func(tx store.ReadTx) error {
		for key, value := range tx.Scan([]byte("Xaudit\x00l"), []byte("Xaudit\x00m")) {
			links = append(links, bytes.Clone(key))
			records = append(records, append([]byte("a"), value[32:]...))
		}
		return nil
	}); err != nil {
		k.t.Fatal(err)
	}
	return records, links
}

// TestE13_AuditLog: whatever is done to the records behind the registry's back is found, and with a checkpoint that was kept elsewhere, also that an older copy was
// put back.
func TestE13_AuditLog(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k := newKit(t, func(o *policy.Options) { o.LogKey = key })
	for i := range 4 {
		k.push(pusher, "acme/app", fmt.Sprintf("v%d", i), fmt.Sprint(i))
	}
	if err := k.a.Housekeep(k.ctx); err != nil { // signs the end
		t.Fatal(err)
	}
	old := copyKV(k)
	for i := range 4 {
		k.push(pusher, "acme/app", fmt.Sprintf("w%d", i), "w"+fmt.Sprint(i))
	}
	if err := k.a.Housekeep(k.ctx); err != nil {
		t.Fatal(err)
	}
	kept, err := k.a.CheckpointAudit(k.ctx, admin)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := k.a.VerifyAudit(k.ctx, admin, kept.Note); err != nil || !r.OK || r.Records != 8 {
		t.Fatalf("untouched: %+v, %v", r, err)
	}
	if _, err := k.a.VerifyAudit(k.ctx, pusher, ""); store.CodeOf(err) != store.CodeDenied {
		t.Errorf("a pusher: %v", err)
	}
	if _, err := k.a.VerifyAudit(k.ctx, admin, strings.Replace(kept.Note, "\n8\n", "\n7\n", 1)); store.CodeOf(err) != store.CodeInvalid {
		t.Errorf("a checkpoint that was changed: %v", err)
	}
	whole := k.kv
	for _, c := range []struct {
		name     string
		change   func(tx store.Tx, records, links [][]byte)
		external bool
	}{
		{"the end is cut off", func(tx store.Tx, records, links [][]byte) {
			for i := 6; i < 8; i++ {
				tx.Delete(records[i])
				tx.Delete(links[i])
			}
			end := append([]byte{0, 0, 0, 0, 0, 0, 0, 6}, tx.Get(links[5])[:32]...)
			tx.Put([]byte("Xaudit\x00h"), end)
		}, false},
		{"a record is edited", func(tx store.Tx, records, _ [][]byte) {
			tx.Put(records[3], bytes.Replace(tx.Get(records[3]), []byte("ci"), []byte("me"), 1))
		}, false},
		{"records are exchanged", func(tx store.Tx, records, _ [][]byte) {
			x, y := bytes.Clone(tx.Get(records[2])), bytes.Clone(tx.Get(records[3]))
			tx.Put(records[2], y)
			tx.Put(records[3], x)
		}, false},
		{"a record in the middle is deleted", func(tx store.Tx, records, _ [][]byte) { tx.Delete(records[4]) }, false},
		{"a record in the middle is deleted with its link", func(tx store.Tx, records, links [][]byte) {
			tx.Delete(records[4])
			tx.Delete(links[4])
		}, false},
		{"a record is slipped in", func(tx store.Tx, records, _ [][]byte) {
			forged := bytes.Clone(records[4])
			forged[len(forged)-1] ^= 1
			tx.Put(forged, tx.Get(records[4]))
		}, false},
		{"an older copy is put back", nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			k.kv = whole
			if k.kv = old; c.change != nil {
				k.kv = whole
				k.kv = copyKV(k)
				records, links := audits(k, k.kv)
				if err := k.kv.Update(k.ctx, func(store.ReadTx) error { return nil }, func(tx store.Tx) { c.change(tx, records, links) }); err != nil {
					t.Fatal(err)
				}
			}
			k.start()
			r, err := k.a.VerifyAudit(k.ctx, admin, "")
			if err != nil || r.OK != c.external {
				t.Errorf("by itself: %+v, %v", r, err)
			}
			if r, err = k.a.VerifyAudit(k.ctx, admin, kept.Note); err != nil || r.OK {
				t.Errorf("with a checkpoint from before: %+v, %v", r, err)
			}
		})
	}
	k.kv = whole
	k.start()
}
