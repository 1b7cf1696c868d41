package index_test

import (
	"context"
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
)

// parted tells how much one view reads, and lets something happen before each.
type parted struct {
	store.KV
	most, views int
	before      func(view int)
}

func (p *parted) View(ctx context.Context, fn func(store.ReadTx) error) error {
	p.views++
	if p.before != nil {
		p.before(p.views)
	}
	tx := partedTx{}
	err := p.KV.View(ctx, func(inner store.ReadTx) error {
		tx.ReadTx = inner
		return fn(&tx)
	})
	p.most = max(p.most, tx.reads)
	return err
}

type partedTx struct {
	store.ReadTx
	reads int
}

func (t *partedTx) Get(key []byte) []byte {
	t.reads++
	return t.ReadTx.Get(key)
}

func (t *partedTx) Scan(from, to []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func([]byte, []byte) bool) {
		for key, v := range t.ReadTx.Scan(from, to) {
			t.reads++
			if !yield(key, v) {
				return
			}
		}
	}
}

// wide is an index of many images, names, versions and licences.
func wide(t *testing.T, p *parted) *kit {
	k := newKit(t, p)
	const images = 2500
	if err := k.x.Load(k.ctx, func(intern func(*sbom.Package) uint32, put func(store.Item, []uint32)) {
		all := intern(&inventory("pkg:npm/all@1|MIT").Packages[0])
		for n := range images {
			ids := []uint32{all}
			for m := range 4 {
				ids = append(ids, intern(&inventory(fmt.Sprintf("pkg:npm/n%d@%d|MIT", n, m)).Packages[0]))
			}
			put(image(fmt.Sprintf("r%d", n%350), n), ids)
		}
	}); err != nil {
		t.Fatal(err)
	}
	k.put(image("z", 9999), inventory("pkg:npm/z@1"))
	k.fold()
	return k
}

// No view is held for long, whatever is asked, so that what is freed meanwhile can be used again.
func TestAQueryReadsInParts(t *testing.T) {
	p := &parted{KV: mem.NewKV()}
	k := wide(t, p)
	for _, c := range []struct {
		name string
		q    index.Query
		want int
	}{
		{"all images", index.Query{Pattern: "all", Limit: 1000}, 1000},
		{"all names", index.Query{Pattern: "*npm*", Limit: 1000}, 1000},
		{"a range of a licence", index.Query{License: "MIT", Range: "<5", Limit: 1000}, 1000},
		{"repositories", index.Query{License: "MIT", Repositories: store.Globs{"r6*"}, Limit: 1000}, 78},
		{"what few hold", index.Query{Pattern: "n2499@3"}, 1},
	} {
		p.most, p.views = 0, 0
		page, err := k.page(c.q, nil)
		if err != nil || len(page.Matches) != c.want {
			t.Errorf("%s: %d images, %v", c.name, len(page.Matches), err)
		}
		if p.most > 18_000 {
			t.Errorf("%s: one view of %d read %d pairs", c.name, p.views, p.most)
		}
	}
}

// What changes between two parts is found as it is when its turn comes: never with packages that it no longer holds, never twice.
func TestAQueryWhileTheIndexChanges(t *testing.T) {
	p := &parted{KV: mem.NewKV()}
	k := wide(t, p)
	for late := range 14 {
		changing := false
		p.views, p.before = 0, func(view int) {
			if changing || view != late {
				return
			}
			changing = true
			k.put(image(fmt.Sprintf("r%d", (300+late)%350), 300+late), inventory("pkg:npm/other@1"))
			k.drop(image(fmt.Sprintf("r%d", (400+late)%350), 400+late))
			k.fold()
			changing = false
		}
		seen := map[store.Item]bool{}
		page, err := k.page(index.Query{Pattern: "*/n*@<9", Limit: 1000}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range page.Matches {
			if seen[m.Image] || len(m.Packages) == 0 {
				t.Errorf("%+v", m)
			}
			seen[m.Image] = true
		}
		if len(page.Matches) != 1000 {
			t.Errorf("%d images", len(page.Matches))
		}
	}
}

// A query that takes too long says where to go on, or how to ask for less; one that meets an index that is made anew is asked again.
func TestAQueryThatTakesTooLong(t *testing.T) {
	p := &parted{KV: mem.NewKV()}
	k := wide(t, p)
	p.before = func(int) { k.moved.Add(int64(6 * time.Second)) }
	found, pages := 0, 0
	for q := (index.Query{Pattern: "all", Limit: 1000}); ; pages++ {
		page, err := k.page(q, nil)
		if err != nil {
			t.Fatal(err)
		}
		found += len(page.Matches)
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	if found != 2500 || pages < 4 {
		t.Errorf("%d images on %d pages", found, pages)
	}
	if _, err := k.page(index.Query{Pattern: "*", Limit: 1}, nil); store.CodeOf(err) != store.CodeInvalid {
		t.Errorf("before any image was looked at: %v", err)
	}
	p.views, p.before = 0, func(view int) {
		if view == 3 {
			p.before = nil
			if err := k.x.Reset(k.ctx); err != nil {
				t.Fatal(err)
			}
			k.put(image("a", 1), inventory("pkg:npm/all@1"))
			k.fold()
		}
	}
	if _, err := k.page(index.Query{Pattern: "all"}, nil); store.CodeOf(err) != store.CodeUnavailable {
		t.Errorf("made anew: %v", err)
	}
}
