package vulns_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
)

// counting counts what is read.
type counting struct {
	store.KV
	reads int
}

func (c *counting) View(ctx context.Context, fn func(store.ReadTx) error) error {
	return c.KV.View(ctx, func(tx store.ReadTx) error { return fn(countingTx{tx, c}) })
}

type countingTx struct {
	store.ReadTx
	c *counting
}

func (t countingTx) Get(key []byte) []byte {
	t.c.reads++
	return t.ReadTx.Get(key)
}

// What a decision reads of an image is the same whatever the image contains, also after an import that changes nothing of it; one that does has it found out again.
func TestSummaryCostsTheSameForEveryImage(t *testing.T) {
	kv := &counting{KV: mem.NewKV()}
	k := newKit(t, kv)
	few, many := image("acme/few", 1), image("acme/many", 2)
	urls := []string{"pkg:npm/lodash@4.17.11"}
	k.put(few, debian12, urls...)
	for n := range 5000 {
		urls = append(urls, fmt.Sprintf("pkg:npm/p%d@1.0.%d", n, n))
	}
	k.put(many, debian12, urls...)
	k.match()
	reads := func(i store.Item) int {
		before := kv.reads
		if s := k.summarized(i, nil); s == nil || s.Total != 1 || s.Worst[0].ID != "GHSA-lodash" {
			t.Errorf("%s: %+v", i.Repository, s)
		}
		return kv.reads - before
	}
	k.load("osv", lodash)
	k.deliver()
	if a, b := reads(few), reads(many); a != b || a > 40 {
		t.Errorf("%d and %d reads", a, b)
	}
	k.load("osv", lodash, leftPad)
	if a, b := reads(few), reads(many); a >= b {
		t.Errorf("%d and %d reads before anybody was told what an import changed", a, b)
	}
	k.load("osv", lodash, leftPad, unheld)
	k.deliver()
	if a, b := reads(few), reads(many); a != b || a > 40 {
		t.Errorf("%d and %d reads after an import that changed nothing of theirs", a, b)
	}
	if err := k.local.Update(k.ctx, func(tx *store.Txn) error {
		vulns.Forget(tx, many)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if a, b := reads(few), reads(many); a >= b {
		t.Errorf("%d and %d reads", a, b)
	}
}
