package index_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
)

// kit is an index over a store.
type kit struct {
	testing.TB
	ctx   context.Context
	local *store.Local
	x     *index.Index
}

func newKit(t testing.TB, kv store.KV) *kit {
	t.Helper()
	clock := func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
	log := slog.New(slog.DiscardHandler)
	local, err := store.NewLocal(t.Context(), store.LocalOptions{Blobs: mem.NewBlobs(rand.Reader), KV: kv, Clock: clock, Rand: rand.Reader, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return &kit{t, t.Context(), local, index.New(local, log)}
}

func image(repo string, n int) store.Item {
	return store.Item{Repository: store.Name(repo), Digest: store.DigestOf(digest.SHA256, fmt.Appendf(nil, "image %d", n))}
}

// inventory makes one of package URLs; "url|licence" adds a licence.
func inventory(urls ...string) *sbom.Inventory {
	inv := &sbom.Inventory{Format: "spdx-2.3", Distro: sbom.Distro{ID: "debian", Version: "12"}}
	for _, s := range urls {
		p := sbom.Package{}
		if i := slices.Index([]byte(s), '|'); i >= 0 {
			p.Licenses = []string{s[i+1:]}
			s = s[:i]
		}
		u, err := sbom.ParsePURL(s)
		if err != nil {
			p.Name = s
		} else {
			p.PURL, p.Name, p.Version, p.Type = u.String(), u.Name, u.Version, u.Type
		}
		inv.Packages = append(inv.Packages, p)
	}
	return inv
}

func (k *kit) put(i store.Item, inv *sbom.Inventory) {
	k.Helper()
	if err := k.local.Update(k.ctx, func(tx *store.Txn) error { return k.x.Put(tx, i, index.Origin{Kind: "generated"}, inv) }); err != nil {
		k.Fatal(err)
	}
}

func (k *kit) drop(i store.Item) {
	k.Helper()
	if err := k.local.Update(k.ctx, func(tx *store.Txn) error {
		k.x.Drop(tx, i)
		return nil
	}); err != nil {
		k.Fatal(err)
	}
}

func (k *kit) fold() index.Folded {
	k.Helper()
	f, err := k.x.Fold(k.ctx)
	if err != nil {
		k.Fatal(err)
	}
	return f
}

func (k *kit) view(fn func(r store.Records) error) {
	k.Helper()
	if err := k.local.View(k.ctx, func(s store.Snapshot) error { return fn(s.Records) }); err != nil {
		k.Fatal(err)
	}
}

// find answers a query with all of its pages.
func (k *kit) find(q index.Query, may func(store.Item) bool) (list []index.Match) {
	k.Helper()
	for {
		var p index.Page
		k.view(func(r store.Records) (err error) {
			p, err = index.Find(r, q, may)
			return err
		})
		list = append(list, p.Matches...)
		if q.After = p.Next; p.Next == "" {
			return list
		}
	}
}

func (k *kit) check() {
	k.Helper()
	problems, err := index.Check(k.ctx, k.local, nil, 20)
	if err != nil {
		k.Fatal(err)
	}
	for _, p := range problems {
		k.Error(p)
	}
}

// estate makes images that resemble each other as those of a registry do: a base of distribution packages, and packages of languages by popularity.
type estate struct {
	rand     *mrand.Rand
	bases    [][]string
	packages int // per image
	names    int
	licenses []string
}

func newEstate(seed uint64, packages, names int) *estate {
	e := &estate{rand: mrand.New(mrand.NewPCG(seed, 1)), packages: packages, names: names,
		licenses: []string{"MIT", "Apache-2.0", "BSD-3-Clause", "GPL-2.0-only", "MIT OR Apache-2.0", "GPL-3.0-only WITH GCC-exception-3.1"}}
	for base := range 40 {
		var list []string
		for n := range packages * 2 / 5 {
			list = append(list, fmt.Sprintf("pkg:deb/debian/lib%d@%d.%d-%d?arch=amd64&distro=debian-12|GPL-2.0-only", n, 1+n%3, base%8, base/8))
		}
		e.bases = append(e.bases, list)
	}
	return e
}

// draw makes the packages of an image: two fifths are one of 40 bases, the rest is drawn so that few names are in most images, most in few, in 20 versions.
func (e *estate) draw() []string {
	base := e.bases[int(float64(len(e.bases))*e.rand.Float64()*e.rand.Float64())]
	urls := slices.Clone(base)
	seen := map[int]bool{}
	for len(urls) < e.packages {
		f := e.rand.Float64()
		n := int(float64(e.names) * f * f * f)
		if seen[n] {
			continue
		}
		seen[n] = true
		version := min(e.rand.IntN(20), e.rand.IntN(20))
		urls = append(urls, fmt.Sprintf("%s%d@%d.%d.0|%s", []string{"pkg:npm/pkg", "pkg:pypi/py", "pkg:maven/org.example/lib"}[n%3], n, version/5, version%5, e.licenses[n%len(e.licenses)]))
	}
	return urls
}

func (e *estate) next() *sbom.Inventory { return inventory(e.draw()...) }
