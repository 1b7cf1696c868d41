package index_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"slices"
	"sync/atomic"
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
	moved *atomic.Int64 // what the clock was moved on by, in nanoseconds
}

func newKit(t testing.TB, kv store.KV) *kit {
	t.Helper()
	moved := &atomic.Int64{}
	clock := func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(moved.Load())) }
	log := slog.New(slog.DiscardHandler)
	local, err := store.NewLocal(t.Context(), store.LocalOptions{Blobs: mem.NewBlobs(rand.Reader), KV: kv, Clock: clock, Rand: rand.Reader, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return &kit{t, t.Context(), local, index.New(local, log), moved}
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

// page answers a query with one page.
func (k *kit) page(q index.Query, may func(store.Item) bool) (index.Page, error) {
	if may == nil {
		return index.Find(k.ctx, k.local, q, nil)
	}
	return index.Find(k.ctx, k.local, q, func(_ store.Snapshot, i store.Item) bool { return may(i) })
}

// find answers a query with all of its pages.
func (k *kit) find(q index.Query, may func(store.Item) bool) (list []index.Match) {
	k.Helper()
	for {
		p, err := k.page(q, may)
		if err != nil {
			k.Fatal(err)
		}
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

// estate makes images that resemble each other as those of a registry do:
//
//   - two fifths of an image's packages are one of 40 bases (releases of distributions), of which the first are the most frequent;
//   - the others are packages of languages, whose popularity falls with their rank by a power law: rank r is drawn with a weight of r to the power of -2/3. That is
//     flatter than Zipf's law proper, so that more of the names are rare, which is the harder case for an index;
//   - each is in one of 20 versions, of which the first are the most frequent, drawn for each image on its own. Real images of one application share most of theirs with the build before, which
//     would be easier.
type estate struct {
	rand     *mrand.Rand
	packages int // per image
	names    int
	urls     []string // of packages that were asked for
	stamps   []int    // image in which a name was last drawn
	drawn    int
}

const (
	estateBases    = 40
	estateVersions = 20
)

func newEstate(seed uint64, packages, names int) *estate {
	e := &estate{rand: mrand.New(mrand.NewPCG(seed, 1)), packages: packages, names: names, stamps: make([]int, names)}
	e.urls = make([]string, estateBases*e.base()+names*estateVersions)
	return e
}

// base is how many packages a base has.
func (e *estate) base() int { return e.packages * 2 / 5 }

// draw makes the packages of an image, as numbers; see url.
func (e *estate) draw() []int {
	e.drawn++
	first := int(estateBases*e.rand.Float64()*e.rand.Float64()) * e.base()
	list := make([]int, 0, e.packages)
	for n := range e.base() {
		list = append(list, first+n)
	}
	for len(list) < e.packages {
		f := e.rand.Float64()
		n := int(float64(e.names) * f * f * f)
		if e.stamps[n] == e.drawn {
			continue
		}
		e.stamps[n] = e.drawn
		version := min(e.rand.IntN(estateVersions), e.rand.IntN(estateVersions))
		list = append(list, estateBases*e.base()+n*estateVersions+version)
	}
	return list
}

// url is the package URL of a package with its licence, as inventory takes it.
func (e *estate) url(p int) string {
	if e.urls[p] == "" {
		if base, n := p/e.base(), p%e.base(); base < estateBases {
			e.urls[p] = fmt.Sprintf("pkg:deb/debian/lib%d@%d.%d-%d?arch=amd64&distro=debian-12|GPL-2.0-only", n, 1+n%3, base%8, base/8)
		} else {
			n, version := (p-estateBases*e.base())/estateVersions, (p-estateBases*e.base())%estateVersions
			licenses := []string{"MIT", "Apache-2.0", "BSD-3-Clause", "GPL-2.0-only", "MIT OR Apache-2.0", "GPL-3.0-only WITH GCC-exception-3.1"}
			e.urls[p] = fmt.Sprintf("%s@%d.%d.0|%s", estateName(n), version/5, version%5, licenses[n%len(licenses)])
		}
	}
	return e.urls[p]
}

// estateName is the package URL, without version, of the name of rank n.
func estateName(n int) string {
	return fmt.Sprintf([]string{"pkg:npm/pkg%d", "pkg:pypi/py%d", "pkg:maven/org.example/lib%d"}[n%3], n)
}

func (e *estate) next() *sbom.Inventory { return e.inventory(e.draw()) }

func (e *estate) inventory(packages []int) *sbom.Inventory {
	urls := make([]string, len(packages))
	for i, p := range packages {
		urls[i] = e.url(p)
	}
	return inventory(urls...)
}
