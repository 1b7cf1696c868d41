package vulns_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
)

// watched is a KV that has something looked at after each commit.
type watched struct {
	store.KV
	look func()
}

func (w *watched) Update(ctx context.Context, check func(store.ReadTx) error, apply func(store.Tx)) error {
	err := w.KV.Update(ctx, check, apply)
	if look := w.look; look != nil {
		w.look = nil
		look()
		w.look = look
	}
	return err
}

var mixed = []string{
	"pkg:npm/p%d@%d.0.0", "pkg:pypi/p%d@%d.0", "pkg:deb/debian/p%d@%d.0-1?distro=debian-12", "pkg:deb/debian/p%d@%d.0-1?distro=debian-11", "pkg:rpm/rocky/p%d@%d.0-1.el9?distro=rocky-9.3",
	"pkg:generic/p%d@%d.0", "pkg:deb/debian/p%d@%d.0-1", "pkg:apk/nobody/p%d@%d.0-r1",
}

// mix makes records about some of the packages that images hold.
func mix(rnd *rand.Rand) (list []string) {
	for n := range 6 + rnd.IntN(10) {
		kind := []string{"npm", "PyPI", "Debian:12", "Debian:11", "Rocky Linux:9"}[rnd.IntN(2+rnd.IntN(4))]
		list = append(list, record(fmt.Sprintf("ADV-%d", n), kind, fmt.Sprintf("p%d", rnd.IntN(8)), fmt.Sprintf("introduced=%d fixed=%d.5", rnd.IntN(3), 1+rnd.IntN(4))))
	}
	return list
}

// After every commit of whatever happens, what is reported is what matching everything again finds: beside imports, first matches, images that come and go, an index that begins
// its numbers anew, and a process that dies anywhere.
func TestReportsAreRightAfterEachCommit(t *testing.T) {
	rounds := 16
	if testing.Short() {
		rounds = 3
	}
	for round := range rounds {
		rnd := rand.New(rand.NewPCG(uint64(round), 3))
		kv := &watched{KV: &failing{KV: mem.NewKV(), left: -1}}
		k := newKit(t, kv)
		images := make([]store.Item, 8)
		for n := range images {
			images[n] = image(fmt.Sprintf("r%d", n), n)
		}
		looks := 0
		kv.look = func() {
			looks++
			k.compare(images...)
		}
		for range 30 {
			switch rnd.IntN(10) {
			case 0, 1, 2:
				var urls []string
				for range 1 + rnd.IntN(12) {
					urls = append(urls, fmt.Sprintf(mixed[rnd.IntN(len(mixed))], rnd.IntN(8), rnd.IntN(4)))
				}
				k.queue(images[rnd.IntN(len(images))], debian12, urls...)
				k.fold()
			case 3:
				k.match()
			case 4:
				k.load("one", mix(rnd)...)
			case 5: // and dies
				f := kv.KV.(*failing)
				f.left, f.after = rnd.IntN(8), rnd.IntN(2) == 0
				k.built = k.built.Add(time.Hour)
				_, _ = k.x.Import(k.ctx, vulns.Info{Name: "two", Built: k.built, MayShrink: true}, zipped(t, mix(rnd)...))
				f.left = -1
			case 6:
				if err := k.local.Update(k.ctx, func(tx *store.Txn) error {
					k.index.Drop(tx, images[rnd.IntN(len(images))])
					return nil
				}); err != nil {
					t.Fatal(err)
				}
				k.fold()
				k.x.Sweep(k.ctx)
			case 7:
				if rnd.IntN(3) == 0 {
					k.renumber()
				}
			case 8, 9:
				k.deliver()
			}
			look := kv.look
			kv.look = nil
			k.keep(images[rnd.IntN(len(images)):]...)
			kv.look = look
		}
		kv.look = nil
		k.match()
		k.load("one", mix(rnd)...)
		k.compare(images...)
		k.check()
		if looks < 25 || t.Failed() {
			t.Fatalf("round %d, after %d commits", round, looks)
		}
	}
}

func (k *kit) fold() {
	k.Helper()
	if _, err := k.index.Fold(k.ctx); err != nil {
		k.Fatal(err)
	}
}

// renumber empties the index, with its counters.
func (k *kit) renumber() {
	k.Helper()
	if err := k.local.Update(k.ctx, func(tx *store.Txn) error {
		tx.Space("sbom").Put([]byte("#"), []byte{0xff})
		return nil
	}); err != nil {
		k.Fatal(err)
	}
	if err := k.index.Reset(k.ctx); err != nil {
		k.Fatal(err)
	}
}

// A number that the index gave again, after damage, is another package version: nothing was found for the one that had it, and there is something for the one that has it.
func TestNumbersGivenAgain(t *testing.T) {
	k := newKit(t, mem.NewKV())
	k.load("osv", lodash)
	k.put(image("acme/a", 1), sbom.Distro{}, "pkg:npm/harmless@1.0.0", "pkg:npm/lodash@4.17.11")
	k.match()
	same(t, "findings", found(k.report(image("acme/a", 1))), []string{"GHSA-lodash affected 4.17.12"})
	k.renumber()
	k.put(image("acme/b", 2), sbom.Distro{}, "pkg:npm/lodash@4.17.10")
	r := k.report(image("acme/b", 2))
	same(t, "before they are matched", []any{found(r), r.Pending}, []any{[]string{"GHSA-lodash affected 4.17.12"}, 1})
	same(t, "matched", k.match(), 1)
	r = k.report(image("acme/b", 2))
	same(t, "after they are matched", []any{found(r), r.Pending}, []any{[]string{"GHSA-lodash affected 4.17.12"}, 0})
	k.x.Sweep(k.ctx)
	k.check()
	k.load("osv", leftPad)
	same(t, "another database", found(k.report(image("acme/b", 2))), nothing)
	k.check()
}

// Images whose package versions lie in several chunks, with more ecosystems than a chunk tells apart.
func TestManyChunks(t *testing.T) {
	k := newKit(t, mem.NewKV())
	var urls []string
	for n := range 3*vulns.ChunkSize - 50 {
		urls = append(urls, fmt.Sprintf("pkg:npm/p%d@1.0.0", n))
	}
	k.put(image("acme/large", 1), sbom.Distro{}, urls...)
	k.load("osv", record("GHSA-1", "npm", "p1", "introduced=0"), record("GHSA-2", "npm", fmt.Sprintf("p%d", vulns.ChunkSize), "introduced=0"), record("GHSA-3", "npm", fmt.Sprintf("p%d", 3*vulns.ChunkSize-100), "introduced=0"))
	k.match()
	same(t, "findings", found(k.report(image("acme/large", 1))), []string{"GHSA-1 affected", "GHSA-2 affected", "GHSA-3 affected"})
	urls = urls[1:3]
	for n := range 400 {
		urls = append(urls, fmt.Sprintf("pkg:t%d/x@1.0.0", n))
	}
	k.put(image("acme/odd", 2), sbom.Distro{}, urls...)
	k.match()
	r := k.report(image("acme/odd", 2))
	same(t, "findings", []any{found(r), r.Pending, len(r.Uncovered)}, []any{[]string{"GHSA-1 affected"}, 0, 50})
	k.check()
}

// A store without chunks is read as it is, and gets them when everything is matched again; an import may come before that.
func TestStoreWithoutChunks(t *testing.T) {
	for _, imports := range []bool{false, true} {
		k := newKit(t, mem.NewKV())
		estate(k)
		k.load("osv", lodash)
		want := k.dump()
		if err := k.x.Downgrade(k.ctx); err != nil {
			t.Fatal(err)
		}
		same(t, "before", []any{k.dump(), k.report(image("acme/a", 1)).Pending}, []any{want, 2})
		if imports {
			k.load("osv", lodash, leftPad)
			want = append(want, "acme/a GHSA-pad unknown affected [1.1.0]", "acme/c GHSA-pad unknown affected [1.1.0]")
			same(t, "with an import", k.dump(), want)
		}
		same(t, "matched again", k.match(), 3)
		same(t, "after", []any{k.dump(), k.report(image("acme/a", 1)).Pending}, []any{want, 0})
		k.check()
	}
}

func TestChunkRoundTrip(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		if !vulns.ChunkRoundTrip(rnd) {
			t.Fatal("a chunk is read as something else")
		}
	}
}

// The check finds a chunk that hides a finding, or says another ecosystem; one that is lost makes reports slow and not wrong.
func TestCheckFindsWrongChunks(t *testing.T) {
	k := newKit(t, mem.NewKV())
	estate(k)
	k.load("osv", lodash, leftPad)
	want, key := k.dump(), []byte("c\x00\x00\x00\x00")
	var was []byte
	k.view(func(r store.Records) error {
		was = bytes.Clone(r.Space(vulns.Space).Get(key))
		return nil
	})
	put := func(b []byte) {
		if err := k.local.Update(k.ctx, func(tx *store.Txn) error {
			if b == nil {
				tx.Space(vulns.Space).Delete(key)
			} else {
				tx.Space(vulns.Space).Put(key, b)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	hidden, more := bytes.Clone(was), bytes.Clone(was)
	hidden[1] &^= 1 << 1
	more[1] |= 1 << 3
	for what, b := range map[string][]byte{"hides": hidden, "too many": more, "beyond": append(bytes.Clone(was), 1, 9), "other": bytes.Replace(was, []byte("npm"), []byte("Pub"), 1)} {
		put(b)
		if problems, err := vulns.Check(k.ctx, k.local, 10); err != nil || len(problems) == 0 {
			t.Errorf("%s: %v %v", what, problems, err)
		}
	}
	put(nil)
	same(t, "findings", k.dump(), want)
	problems, err := vulns.Check(k.ctx, k.local, 10)
	if err != nil || len(problems) != 5 || !strings.Contains(problems[0].String(), "chunk") {
		t.Errorf("%v %v", problems, err)
	}
	put(was)
	k.check()
}
