package index_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
	"github.com/assay-registry/assay/store/storetest"
)

// wide is an index of many images, names, versions and licences.
func wide(t *testing.T, p *storetest.Views) *kit {
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
	p := &storetest.Views{KV: mem.NewKV()}
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
		p.Most, p.Count = 0, 0
		page, err := k.page(c.q, nil)
		if err != nil || len(page.Matches) != c.want {
			t.Errorf("%s: %d images, %v", c.name, len(page.Matches), err)
		}
		if p.Most > 18_000 {
			t.Errorf("%s: one view of %d read %d pairs", c.name, p.Count, p.Most)
		}
	}
}

// What changes between two parts is found as it is when its turn comes: never with packages that it no longer holds, never twice.
func TestAQueryWhileTheIndexChanges(t *testing.T) {
	p := &storetest.Views{KV: mem.NewKV()}
	k := wide(t, p)
	for late := range 14 {
		changing := false
		p.Count, p.Before = 0, func(view int) {
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
	p := &storetest.Views{KV: mem.NewKV()}
	k := wide(t, p)
	p.Before = func(int) { k.moved.Add(int64(6 * time.Second)) }
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
	p.Count, p.Before = 0, func(view int) {
		if view == 3 {
			p.Before = nil
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
