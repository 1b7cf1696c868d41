package index_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
)

// lines shows an answer: one line per image with its packages.
func lines(list []index.Match) (out []string) {
	for _, m := range list {
		s := string(m.Image.Repository)
		for _, p := range m.Packages {
			s += " " + strings.TrimPrefix(p.Name, "pkg:") + "@" + p.Version
		}
		out = append(out, s)
	}
	return out
}

func (k *kit) expect(q index.Query, want ...string) {
	k.Helper()
	if got := lines(k.find(q, nil)); !slices.Equal(got, want) {
		k.Errorf("%+v:\n got %q\nwant %q", q, got, want)
	}
}

func threeImages(t *testing.T) *kit {
	k := newKit(t, mem.NewKV())
	k.put(image("acme/app", 1), inventory("pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1|Apache-2.0", "pkg:npm/%40babel/core@7.1.0|MIT", "pkg:deb/debian/libc6@2.36-9?distro=debian-12|LGPL-2.1-only AND GPL-3.0-only"))
	k.fold()
	k.put(image("acme/web", 2), inventory("pkg:maven/org.apache.logging.log4j/log4j-core@2.17.1|Apache-2.0", "pkg:npm/left-pad@1.3.0|WTFPL"))
	k.fold()
	k.put(image("other", 3), inventory("pkg:maven/org.apache.logging.log4j/log4j-core@2.3|Apache-2.0", "busybox|GPL-2.0-only"))
	k.fold()
	return k
}

func TestFind(t *testing.T) {
	k := threeImages(t)
	log4j := "pkg:maven/org.apache.logging.log4j/log4j-core"
	k.expect(index.Query{Pattern: log4j + "@<2.17.1"}, "acme/app maven/org.apache.logging.log4j/log4j-core@2.14.1", "other maven/org.apache.logging.log4j/log4j-core@2.3")
	k.expect(index.Query{Pattern: log4j, Range: "vers:maven/>=2.10|<2.17"}, "acme/app maven/org.apache.logging.log4j/log4j-core@2.14.1")
	k.expect(index.Query{Pattern: log4j, Range: "vers:npm/>=0"})
	k.expect(index.Query{Pattern: log4j + "@2.17.1"}, "acme/web maven/org.apache.logging.log4j/log4j-core@2.17.1")
	k.expect(index.Query{Pattern: "log4j-core", Repositories: store.Globs{"acme/**"}}, "acme/app maven/org.apache.logging.log4j/log4j-core@2.14.1", "acme/web maven/org.apache.logging.log4j/log4j-core@2.17.1")
	k.expect(index.Query{Pattern: "*LOG4J*"})
	k.expect(index.Query{Pattern: "*babel*"}, "acme/app npm/%40babel/core@7.1.0")
	k.expect(index.Query{Pattern: "pkg:npm/@babel/core"}, "acme/app npm/%40babel/core@7.1.0")
	k.expect(index.Query{Pattern: "pkg:npm/@babel/core@>=7"}, "acme/app npm/%40babel/core@7.1.0")
	k.expect(index.Query{Pattern: "pkg:npm/*"}, "acme/app npm/%40babel/core@7.1.0", "acme/web npm/left-pad@1.3.0")
	k.expect(index.Query{Pattern: "busybox"}, "other unknown/busybox@")
	k.expect(index.Query{License: "gpl-3.0-only"}, "acme/app deb/debian/libc6@2.36-9")
	k.expect(index.Query{License: "GPL-*"}, "acme/app deb/debian/libc6@2.36-9", "other unknown/busybox@")
	k.expect(index.Query{License: "Apache-2.0", Range: "<2.17.1"}, "acme/app maven/org.apache.logging.log4j/log4j-core@2.14.1", "other maven/org.apache.logging.log4j/log4j-core@2.3")
	k.expect(index.Query{License: "MIT", Pattern: "pkg:maven/*"})
	k.expect(index.Query{Pattern: "pkg:deb/debian/libc6@<2.36-9+deb12u1"}, "acme/app deb/debian/libc6@2.36-9")
	k.check()
}

func TestFindShowsOnlyWhatTheCallerMaySee(t *testing.T) {
	k := threeImages(t)
	asked := 0
	got := lines(k.find(index.Query{Pattern: "log4j-core", Limit: 1}, func(i store.Item) bool {
		asked++
		return i.Repository == "acme/web"
	}))
	if want := []string{"acme/web maven/org.apache.logging.log4j/log4j-core@2.17.1"}; !slices.Equal(got, want) || asked != 3 {
		t.Errorf("%q after %d questions", got, asked)
	}
}

func TestFindRefuses(t *testing.T) {
	k := threeImages(t)
	for _, q := range []index.Query{
		{}, {Range: "<1"}, {Pattern: "pkg:npm"}, {Pattern: "pkg:npm/a?arch=x"}, {Pattern: "a", Limit: 1001}, {Pattern: "a", Limit: -1}, {Pattern: "a", After: "x"},
		{Pattern: "a@<"}, {Pattern: "a@<1", Range: "<2"}, {Pattern: "a", Range: "vers:npm"}, {Pattern: "a", Range: strings.Repeat("<1,", 65) + "<1"},
		{Pattern: strings.Repeat("a", 2000)}, {License: strings.Repeat("a", 2000)},
	} {
		if _, err := k.page(q, nil); store.CodeOf(err) != store.CodeInvalid {
			t.Errorf("%.80v: %v", q, err)
		}
	}
}

func TestVersionsThatCannotBeComparedAreNamed(t *testing.T) {
	k := newKit(t, mem.NewKV())
	k.put(image("a", 1), inventory("pkg:deb/debian/x@e:1", "pkg:deb/debian/x@1.0"))
	k.fold()
	p, err := k.page(index.Query{Pattern: "pkg:deb/debian/x@<2"}, nil)
	if err != nil || len(p.Matches) != 1 || !slices.Equal(p.Uncompared, []string{"e:1"}) {
		t.Errorf("%+v %v", p, err)
	}
}

// An image is in the index with the commit that brings it, and in the answers of queries when the queue was worked off.
func TestQueuedImagesAreKnown(t *testing.T) {
	k := threeImages(t)
	app := image("acme/app", 1)
	k.put(app, inventory("pkg:npm/new@1"))
	k.put(image("acme/new", 9), inventory("pkg:npm/new@2|MIT"))
	k.drop(image("other", 3))
	k.view(func(r store.Records) error {
		e, err := index.Image(r, app)
		if err != nil || !e.Pending || len(e.Packages) != 1 || e.Packages[0].PURL != "pkg:npm/new@1" {
			t.Errorf("%+v %v", e, err)
		}
		if gone, err := index.Image(r, image("other", 3)); gone != nil || err != nil {
			t.Errorf("%+v %v", gone, err)
		}
		return nil
	})
	p, err := k.page(index.Query{Pattern: "busybox"}, nil)
	if err != nil || len(p.Matches) != 0 || p.Pending != 2 { // what is dropped is in no answer any more
		t.Errorf("%+v %v", p, err)
	}
	if f := k.fold(); f.Images != 3 || f.Commits != 1 {
		t.Errorf("%+v", f)
	}
	k.expect(index.Query{Pattern: "new"}, "acme/app npm/new@1", "acme/new npm/new@2")
	k.view(func(r store.Records) error {
		e, err := index.Image(r, app)
		if err != nil || e.Pending || len(e.Packages) != 1 || e.Packages[0].PURL != "pkg:npm/new@1" || e.Packages[0].ID == 0 {
			t.Errorf("%+v %v", e, err)
		}
		if names, _, err := index.Names(r, "*", "", 100); err != nil || !slices.Equal(names, []string{
			"pkg:maven/org.apache.logging.log4j/log4j-core", "pkg:npm/left-pad", "pkg:npm/new"}) {
			t.Errorf("%q %v", names, err) // the names of what nobody has went
		}
		return nil
	})
	k.check()
}

// Pushes that share every package do not conflict, nor with the writer of the postings.
func TestPushesDoNotConflict(t *testing.T) {
	k := threeImages(t)
	runs := 0
	if err := k.local.Update(k.ctx, func(tx *store.Txn) error {
		runs++
		if runs == 1 {
			k.put(image("acme/b", 2), inventory("pkg:npm/same@1"))
			k.fold()
		}
		return k.x.Put(tx, image("acme/a", 1), index.Origin{}, inventory("pkg:npm/same@1"))
	}); err != nil || runs != 1 {
		t.Errorf("%d runs, %v", runs, err)
	}
	k.fold()
	k.expect(index.Query{Pattern: "same"}, "acme/b npm/same@1", "acme/a npm/same@1")
}

func TestRunFoldsWhatWasCommitted(t *testing.T) {
	k := newKit(t, mem.NewKV())
	ctx, cancel := context.WithCancel(k.ctx)
	done := make(chan struct{})
	go func() {
		k.x.Run(ctx)
		close(done)
	}()
	k.put(image("a", 1), inventory("pkg:npm/x@1"))
	for { // each look is a look at what Run commits: no clock
		n := 0
		k.view(func(r store.Records) error {
			n = index.Pending(r, 10)
			return nil
		})
		if n == 0 {
			break
		}
	}
	cancel()
	<-done
	k.expect(index.Query{Pattern: "x"}, "a npm/x@1")
}

func TestVersionsAreNumberedOnce(t *testing.T) {
	k := threeImages(t)
	var last index.ID
	k.view(func(r store.Records) error {
		list, err := index.Versions(r, 0, 100)
		if err != nil || len(list) != 7 {
			t.Fatalf("%d versions, %v", len(list), err)
		}
		last = list[6].ID
		var ids []index.ID
		for _, v := range list {
			if v.Name == "pkg:maven/org.apache.logging.log4j/log4j-core" {
				ids = append(ids, v.ID)
			}
		}
		if len(ids) != 3 {
			t.Errorf("%+v", list)
		}
		m, err := index.Holding(r, ids)
		if err != nil || m.GetCardinality() != 3 {
			t.Errorf("%v %v", m, err)
		}
		images, err := index.ImagesOf(r, m, 1, 10)
		if err != nil || len(images) != 2 || images[0].Image != image("acme/web", 2) {
			t.Errorf("%+v %v", images, err)
		}
		own, err := index.IDs(r, image("acme/app", 1))
		if err != nil || len(own) != 3 {
			t.Errorf("%v %v", own, err)
		}
		return nil
	})
	k.drop(image("other", 3))
	k.fold()
	k.put(image("other", 4), inventory("pkg:npm/later@1"))
	k.fold()
	k.view(func(r store.Records) error {
		list, err := index.Versions(r, last, 100)
		if err != nil || len(list) != 1 || list[0].PURL != "pkg:npm/later@1" {
			t.Errorf("%+v %v", list, err)
		}
		if v, err := index.Version(r, last); v != nil || err != nil {
			t.Errorf("a version that nobody has: %+v %v", v, err)
		}
		return nil
	})
	k.check()
}

// The answers of the index are those of looking at every inventory, through pushes, replacements and deletions.
func TestEqualsNaiveScan(t *testing.T) {
	k, e := newKit(t, mem.NewKV()), newEstate(7, 40, 400)
	all := map[store.Item]*sbom.Inventory{}
	for n := range 400 {
		i := image(fmt.Sprintf("team%d/app%d", n%7, n%31), n)
		inv := e.next()
		k.put(i, inv)
		all[i] = inv
		if n%5 == 4 {
			gone := image(fmt.Sprintf("team%d/app%d", (n-3)%7, (n-3)%31), n-3)
			k.drop(gone)
			delete(all, gone)
		}
		if n%9 == 8 {
			again := image(fmt.Sprintf("team%d/app%d", (n-4)%7, (n-4)%31), n-4)
			if all[again] != nil {
				all[again] = e.next()
				k.put(again, all[again])
			}
		}
		if n%13 == 0 {
			k.fold()
		}
	}
	k.fold()
	k.check()
	for _, q := range naiveQueries(400, 40) {
		compareNaive(t, k, all, q)
	}
	for i := range all {
		k.drop(i)
	}
	k.fold()
	k.check()
	k.view(func(r store.Records) error {
		if v, err := index.Versions(r, 0, 10); len(v) > 0 || err != nil {
			t.Errorf("versions of no image: %+v %v", v, err)
		}
		if n, _, err := index.Names(r, "*", "", 10); len(n) > 0 || err != nil {
			t.Errorf("names of no image: %q %v", n, err)
		}
		return nil
	})
}

type naive struct {
	name, versions, license string
	globs                   store.Globs
}

func naiveQueries(names, asked int) (list []naive) {
	for n := 0; n < names; n += 1 + names/asked {
		name := estateName(n)
		list = append(list, naive{name: name, versions: "<2.1.0"}, naive{name: name, versions: ">=1.0.0,<3", globs: store.Globs{"team3/**", "team5/*"}})
	}
	return append(list, naive{license: "Apache-2.0"}, naive{license: "GCC-exception-3.1"}, naive{license: "GPL-3.0-only", globs: store.Globs{"team1/**"}}, naive{name: "pkg:deb/debian/lib3", versions: "<1.3-2"})
}

// matches reports whether a package is what is asked for.
func (q *naive) matches(t testing.TB, p *sbom.Package) bool {
	t.Helper()
	if q.name != "" && p.Base() != q.name || q.license != "" && !slices.ContainsFunc(p.Licenses, func(l string) bool { return slices.Contains(sbom.Identifiers(l), q.license) }) {
		return false
	}
	return q.versions == "" || inRange(t, p, q.versions)
}

// compareNaive compares an answer with that of reading every inventory.
func compareNaive(t testing.TB, k *kit, all map[store.Item]*sbom.Inventory, q naive) {
	t.Helper()
	var want []string
	for i, inv := range all {
		if len(q.globs) > 0 && !q.globs.Match(i.Repository) {
			continue
		}
		for n := range inv.Packages {
			if q.matches(t, &inv.Packages[n]) {
				want = append(want, fmt.Sprint(i))
				break
			}
		}
	}
	var got []string
	for _, m := range k.find(index.Query{Pattern: q.name, Range: q.versions, License: q.license, Repositories: q.globs, Limit: 37}, nil) {
		got = append(got, fmt.Sprint(m.Image))
		if len(m.Packages) == 0 {
			t.Errorf("%v: %v without a package", q, m.Image)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%+v: the index finds %d images, a scan %d", q, len(got), len(want))
	}
}

func inRange(t testing.TB, p *sbom.Package, versions string) bool {
	u, err := sbom.ParsePURL(p.PURL)
	if err != nil {
		t.Fatal(err)
	}
	for bound := range strings.SplitSeq(versions, ",") {
		op := strings.TrimRight(bound, "0123456789.-")
		n, err := index.Compare(index.Ecosystem(u.Type, u.Namespace, sbom.Distro{}), u.Version, bound[len(op):])
		if err != nil {
			t.Fatal(err)
		}
		if op == "<" && n >= 0 || op == ">=" && n < 0 {
			return false
		}
	}
	return true
}

// Whatever is damaged, an index that is emptied and filled again is whole, and gives no number twice.
func TestResetIsTheWayOutOfDamage(t *testing.T) {
	k := threeImages(t)
	var last index.ID
	k.view(func(r store.Records) error {
		list, err := index.Versions(r, 0, 100)
		last = list[len(list)-1].ID
		return err
	})
	k.set([]byte("i\x00\x00\x00\x00\x00\x00\x00\x01"), []byte{9})
	k.put(image("queued", 1), inventory("pkg:npm/x@1"))
	if err := k.x.Reset(k.ctx); err != nil {
		t.Fatal(err)
	}
	k.view(func(r store.Records) error {
		if left := r.Space("sbom").Scan(nil, nil, 10); len(left) != 1 || string(left[0].Key) != "#" {
			t.Errorf("left: %q", left)
		}
		return nil
	})
	k.put(image("acme/app", 1), inventory("pkg:npm/y@1"))
	k.fold()
	k.check()
	k.expect(index.Query{Pattern: "y"}, "acme/app npm/y@1")
	k.view(func(r store.Records) error {
		if list, err := index.Versions(r, last, 10); err != nil || len(list) != 1 {
			t.Errorf("%+v %v", list, err)
		}
		return nil
	})
}

// The text that goes with numbers stays as long as none is given twice: not over a fold, and another with counters that were lost, or an index that was emptied.
func TestNumbering(t *testing.T) {
	k := newKit(t, mem.NewKV())
	n, seen := 0, map[string]bool{}
	next := func() (text string) {
		n++
		k.put(image("a", n), inventory(fmt.Sprintf("pkg:npm/a@%d", n)))
		k.fold()
		k.view(func(r store.Records) error {
			text = index.Numbering(r)
			return nil
		})
		return text
	}
	for what, change := range map[string]func(){
		"nothing": func() {},
		"lost":    func() { k.set([]byte("#"), nil) },
		"damaged": func() {
			k.set([]byte("#"), []byte{0xff})
			if err := k.x.Reset(k.ctx); err != nil {
				t.Fatal(err)
			}
		},
		"emptied": func() {
			if err := k.x.Reset(k.ctx); err != nil {
				t.Fatal(err)
			}
		},
		"forgotten": func() { k.set([]byte("!"), nil) },
	} {
		if change(); seen[next()] != (what == "nothing" && len(seen) > 0) {
			t.Errorf("%s: the numbering is the same, or another, and should not be", what)
		}
		seen[next()] = true
	}
}

func TestLimitsOfInventoriesAndLicences(t *testing.T) {
	k := newKit(t, mem.NewKV())
	r, large := rand.New(rand.NewPCG(1, 2)), &sbom.Inventory{}
	for range 48_000 {
		name := make([]byte, 440)
		for i := range name {
			name[i] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"[r.IntN(64)]
		}
		large.Packages = append(large.Packages, sbom.Package{Name: string(name[:400]), Version: string(name[:200])})
	}
	for name, inv := range map[string]*sbom.Inventory{"packages": {Packages: make([]sbom.Package, index.MaxPackages+1)}, "bytes": large} {
		if err := k.local.Update(k.ctx, func(tx *store.Txn) error { return k.x.Put(tx, image("a", 1), index.Origin{}, inv) }); store.CodeOf(err) != store.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	var urls []string
	for n := range 1001 {
		urls = append(urls, fmt.Sprintf("pkg:npm/a@%d|L-%d", n, n))
	}
	k.put(image("a", 1), inventory(urls...))
	k.fold()
	if _, err := k.page(index.Query{License: "L-*"}, nil); store.CodeOf(err) != store.CodeInvalid {
		t.Error(err)
	}
	if got := k.find(index.Query{License: "L-7"}, nil); len(got) != 1 || len(got[0].Packages) != 1 {
		t.Errorf("%+v", got)
	}
}

// What holds within a chunk of images holds across chunks.
func TestImagesOfManyChunks(t *testing.T) {
	k := newKit(t, mem.NewKV())
	const images = 40_000
	if err := k.x.Load(k.ctx, func(intern func(*sbom.Package) uint32, put func(store.Item, []uint32)) {
		all, even, last := intern(&inventory("pkg:npm/all@1|MIT").Packages[0]), intern(&inventory("pkg:npm/even@1").Packages[0]), intern(&inventory("pkg:npm/last@1").Packages[0])
		for n := range images {
			ids := []uint32{all}
			if n%2 == 0 {
				ids = append(ids, even)
			}
			if n == images-1 {
				ids = append(ids, last)
			}
			put(image(fmt.Sprintf("r%d", n%3), n), ids)
		}
	}); err != nil {
		t.Fatal(err)
	}
	k.check()
	for _, c := range []struct {
		q    index.Query
		want uint64
	}{
		{index.Query{Pattern: "all"}, images}, {index.Query{License: "MIT"}, images}, {index.Query{Pattern: "even@<2"}, images / 2}, {index.Query{Pattern: "last"}, 1},
		{index.Query{Pattern: "even", Repositories: store.Globs{"r0"}}, 6667},
	} {
		k.view(func(r store.Records) error {
			n, err := index.Count(r, c.q)
			if n != c.want {
				t.Errorf("%+v: %d, want %d", c.q, n, c.want)
			}
			return err
		})
	}
	k.drop(image("r0", images-1)) // in another repository: nothing happens
	k.drop(image(fmt.Sprintf("r%d", (images-1)%3), images-1))
	k.fold()
	k.check()
	k.expect(index.Query{Pattern: "last"})
	seen := 0
	for q := (index.Query{Pattern: "all", Limit: 1000}); ; {
		p, err := k.page(q, func(i store.Item) bool { return i.Repository == "r1" })
		if err != nil {
			t.Fatal(err)
		}
		seen += len(p.Matches)
		if q.After = p.Next; q.After == "" {
			break
		}
	}
	if seen != images/3 {
		t.Errorf("%d images on all pages, want %d", seen, images/3)
	}
}

// Numbers are not given twice, so somebody who makes up packages without end comes to their end: nothing is written then that is of another's number, and the repair begins anew.
func TestTheEndOfTheNumbers(t *testing.T) {
	k := newKit(t, mem.NewKV())
	k.put(image("a", 1), inventory("pkg:npm/a@1"))
	k.fold()
	all := []byte{}
	for range 5 {
		all = binary.AppendUvarint(all, math.MaxUint32-2)
	}
	k.set([]byte("#"), all)
	k.put(image("a", 2), inventory("pkg:npm/b@1", "pkg:npm/c@1"))
	k.fold()
	k.put(image("a", 3), inventory("pkg:npm/b@1", "pkg:npm/d@1"))
	if _, err := k.x.Fold(k.ctx); err == nil || !strings.Contains(err.Error(), "run assay check --repair") {
		t.Errorf("a number too many: %v", err)
	}
	same := func(when string, images ...store.Item) {
		t.Helper()
		page, err := k.page(index.Query{Pattern: "pkg:npm/*"}, nil)
		var found []store.Item
		for _, m := range page.Matches {
			found = append(found, m.Image)
		}
		byDigest := func(a, b store.Item) int { return strings.Compare(string(a.Digest), string(b.Digest)) }
		slices.SortFunc(found, byDigest)
		slices.SortFunc(images, byDigest)
		if err != nil || !slices.Equal(found, images) {
			t.Errorf("%s: %v, %v", when, found, err)
		}
	}
	same("full", image("a", 1), image("a", 2))
	if err := k.x.Reset(k.ctx); err != nil {
		t.Fatal(err)
	}
	for n, urls := range [][]string{{"pkg:npm/a@1"}, {"pkg:npm/b@1", "pkg:npm/c@1"}, {"pkg:npm/b@1", "pkg:npm/d@1"}} {
		k.put(image("a", n+1), inventory(urls...))
	}
	k.fold()
	same("repaired", image("a", 1), image("a", 2), image("a", 3))
}
