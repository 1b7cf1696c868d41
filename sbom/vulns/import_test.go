package vulns_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/osv"
	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/bolt"
	"github.com/assay-registry/assay/store/mem"
)

// estate puts three images: one with lodash and left-pad, one with lodash in another version, one with left-pad alone.
func estate(k *kit) {
	k.Helper()
	k.put(image("acme/a", 1), sbom.Distro{}, "pkg:npm/lodash@4.17.11", "pkg:npm/left-pad@1.0.0")
	k.put(image("acme/b", 2), sbom.Distro{}, "pkg:npm/lodash@4.17.20")
	k.put(image("acme/c", 3), sbom.Distro{}, "pkg:npm/left-pad@1.0.0")
	k.match()
}

var (
	lodash  = record("GHSA-lodash", "npm", "lodash", "introduced=0 fixed=4.17.12", `"database_specific":{"severity":"HIGH"}`)
	leftPad = record("GHSA-pad", "npm", "left-pad", "introduced=0 fixed=1.1.0")
	unheld  = record("GHSA-unheld", "npm", "nobody-has-it", "introduced=0")
)

// A newer database names exactly the images whose findings changed.
func TestDeltaIsExact(t *testing.T) {
	k := newKit(t, mem.NewKV())
	estate(k)
	d := k.load("osv", lodash, leftPad, unheld)
	same(t, "first", []any{d.Added, d.Removed, d.Changed, d.IDs, k.images(d)}, []any{3, 0, 0, []string{"GHSA-lodash", "GHSA-pad", "GHSA-unheld"}, []string{"acme/a", "acme/c"}})
	before := k.dump()

	for _, c := range []struct {
		name     string
		records  []string
		numbers  []int
		images   []string
		evaluate int
	}{
		{"the same", []string{lodash, leftPad, unheld}, []int{0, 0, 0}, nil, 0},
		{"text alone", []string{strings.Replace(lodash, "about lodash", "other words", 1), leftPad, unheld}, []int{0, 0, 1}, nil, 0},
		{"a version is in the range", []string{strings.Replace(lodash, "4.17.12", "4.17.21", 1), leftPad, unheld}, []int{0, 0, 1}, []string{"acme/a", "acme/b"}, 1},
		{"severity", []string{strings.Replace(lodash, "HIGH", "LOW", 1), leftPad, unheld}, []int{0, 0, 1}, []string{"acme/a"}, 1},
		{"withdrawn", []string{lodash, strings.Replace(leftPad, `"summary"`, `"withdrawn":"2026-02-01T00:00:00Z","summary"`, 1), unheld}, []int{0, 0, 1}, []string{"acme/a", "acme/c"}, 1},
		{"gone", []string{lodash, unheld}, []int{0, 1, 0}, []string{"acme/a", "acme/c"}, 1},
		{"another that nobody has", []string{lodash, leftPad, unheld, record("GHSA-more", "npm", "nobody-has-it", "introduced=0")}, []int{1, 0, 0}, nil, 1},
		{"a range that holds no version of ours", []string{lodash, leftPad, unheld, record("GHSA-old", "npm", "lodash", "introduced=0 fixed=1.0.0")}, []int{1, 0, 0}, nil, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			k.TB = t
			d := k.load("osv", c.records...)
			same(t, "delta", []any{d.Added, d.Removed, d.Changed, k.images(d), d.Names}, []any{c.numbers[0], c.numbers[1], c.numbers[2], c.images, c.evaluate})
			k.check()
			k.load("osv", lodash, leftPad, unheld)
			same(t, "findings after the way back", k.dump(), before)
		})
	}
}

// dump lists the findings of all images.
func (k *kit) dump() (list []string) {
	k.Helper()
	for n, repo := range []string{"acme/a", "acme/b", "acme/c"} {
		for _, f := range k.report(image(repo, n+1)).Findings {
			list = append(list, fmt.Sprintf("%s %s %s %s %v", repo, f.ID, f.Severity, f.State, f.Fixed))
		}
	}
	return list
}

func TestImportsAreRefused(t *testing.T) {
	k := newKit(t, mem.NewKV())
	estate(k)
	var big []string
	for n := range 10 {
		big = append(big, record(fmt.Sprintf("GHSA-%d", n), "npm", "nobody-has-it", "introduced=0"))
	}
	k.load("big", big...)
	k.load("osv", lodash, leftPad, unheld)
	before := k.dump()
	lines := func(s ...string) osv.Source {
		source, err := osv.Stream("lines", strings.NewReader(strings.Join(s, "\n")))
		if err != nil {
			t.Fatal(err)
		}
		return source
	}
	info := vulns.Info{Name: "osv", Built: k.built.Add(time.Hour)}
	with := func(change func(*vulns.Info)) vulns.Info {
		i := info
		change(&i)
		return i
	}
	for _, c := range []struct {
		name   string
		info   vulns.Info
		source osv.Source
		code   store.Code
		says   string
	}{
		{"older", with(func(i *vulns.Info) { i.Built = k.built.Add(-time.Hour) }), zipped(t, lodash), store.CodeConflict, "older than the installed"},
		{"no time", with(func(i *vulns.Info) { i.Built = time.Time{} }), zipped(t, lodash), store.CodeInvalid, "when it was made"},
		{"a bad name", with(func(i *vulns.Info) { i.Name = "../x" }), zipped(t, lodash), store.CodeInvalid, "no name of a database"},
		{"fewer than announced", with(func(i *vulns.Info) { i.Count = 4 }), zipped(t, lodash, leftPad, unheld), store.CodeInvalid, "truncated"},
		{"nothing proves the end", info, lines(lodash, leftPad, unheld), store.CodeInvalid, "nothing proves"},
		{"empty", info, zipped(t), store.CodeInvalid, "no records"},
		{"much smaller", vulns.Info{Name: "big", Built: k.built.Add(time.Hour)}, zipped(t, big[:4]...), store.CodeInvalid, "where the installed one has 10"},
		{"malformed record", info, zipped(t, lodash, leftPad, `{"id":"GHSA-x","affected":7}`), store.CodeInvalid, "00002.json"},
		{"of another kind", with(func(i *vulns.Info) { i.Name = "osv" }), nil, store.CodeConflict, "kind"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var err error
			if c.source == nil {
				_, err = k.x.ImportEPSS(k.ctx, c.info, strings.NewReader("cve,epss,percentile\n"))
			} else {
				_, err = k.x.Import(k.ctx, c.info, c.source)
			}
			if store.CodeOf(err) != c.code || !strings.Contains(fmt.Sprint(err), c.says) {
				t.Errorf("%v", err)
			}
			same(t, "nothing changed", k.dump(), before)
			k.check()
		})
	}
}

// failing is a KV whose commits fail from some number on, before or after they happened.
type failing struct {
	store.KV
	mu    sync.Mutex
	left  int // commits that come through; negative: all
	after bool
}

var errCut = errors.New("cut off")

func (f *failing) Update(ctx context.Context, check func(store.ReadTx) error, apply func(store.Tx)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left == 0 {
		if f.after {
			f.after = false
			if err := f.KV.Update(ctx, check, apply); err != nil {
				return err
			}
		}
		return errCut
	}
	f.left--
	return f.KV.Update(ctx, check, apply)
}

// An import that is cut off at any of its commits, before or after it is durable, leaves the old database or the new one, and the next one makes all well.
func TestImportCutOffAnywhere(t *testing.T) {
	newer := []string{strings.Replace(lodash, "4.17.12", "4.17.21", 1), unheld, record("GHSA-new", "npm", "left-pad", "introduced=0", `"aliases":["CVE-2026-0001"]`)}
	for _, after := range []bool{false, true} {
		for n, finished := 0, false; !finished; n++ {
			kv := &failing{KV: mem.NewKV(), left: -1}
			k := newKit(t, kv)
			estate(k)
			k.load("osv", lodash, leftPad, unheld)
			old := k.dump()
			k.x.Page(1) // a commit for each version whose findings change
			kv.left, kv.after = n, after
			_, err := k.x.Import(k.ctx, vulns.Info{Name: "osv", Built: k.built.Add(time.Hour), MayShrink: true}, zipped(t, newer...))
			finished = kv.left > 0
			kv.left = -1
			cut := k.dump()
			k.check()

			again := newKit(t, kv.KV) // another process
			again.built = k.built.Add(2 * time.Hour)
			if n%2 == 0 { // which begins with what is new, and so settles first
				again.run()
				same(t, "settled", again.dump(), cut)
			}
			again.load("osv", newer...)
			final := again.dump()
			if err == nil && !slices.Equal(cut, final) || !slices.Equal(cut, old) && !slices.Equal(cut, final) {
				t.Errorf("cut off after %d commits (%v): %v", n, err, cut)
			}
			same(t, "in the end", final, []string{"acme/a GHSA-lodash high affected [4.17.21]", "acme/a CVE-2026-0001 unknown affected []", "acme/b GHSA-lodash high affected [4.17.21]", "acme/c CVE-2026-0001 unknown affected []"})
			again.check()
			if left := again.journal(); left > 0 {
				t.Errorf("%d records of the journal are left", left)
			}
			again.deliver()
			if n > 100 {
				t.Fatal("the import has no end")
			}
		}
	}
}

// run does what Run does first, and ends.
func (k *kit) run() {
	k.Helper()
	ctx, cancel := context.WithCancel(k.ctx)
	x := vulns.New(k.local, discard(), func(context.Context, vulns.Delta) error {
		cancel()
		return nil
	})
	k.put(image("acme/new", 99), sbom.Distro{}, "pkg:npm/new@1.0.0")
	x.Run(ctx)
}

func (k *kit) journal() (n int) {
	k.view(func(r store.Records) error {
		n = len(r.Space(vulns.Space).Scan([]byte("j"), []byte("k"), 1000))
		return nil
	})
	return n
}

func (k *kit) deliver() {
	k.Helper()
	if _, err := k.x.Deliver(k.ctx); err != nil {
		k.Fatal(err)
	}
}

// The same on a file that is closed in the middle and opened again.
func TestImportCutOffOnDisk(t *testing.T) {
	file := filepath.Join(t.TempDir(), "meta.db")
	opened := func() store.KV {
		kv, err := bolt.Open(file, bolt.Options{Fatal: func(err error) { t.Error(err) }})
		if err != nil {
			t.Fatal(err)
		}
		return kv
	}
	kv := opened()
	k := newKit(t, kv)
	estate(k)
	k.load("osv", lodash, leftPad, unheld)
	old := k.dump()
	cut := &failing{KV: kv, left: -1}
	k2 := newKit(t, cut)
	k2.built = k.built
	cut.left = 2
	if _, err := k2.x.Import(k.ctx, vulns.Info{Name: "osv", Built: k.built.Add(time.Hour), MayShrink: true}, zipped(t, unheld)); !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	if err := kv.Close(); err != nil {
		t.Fatal(err)
	}
	kv = opened()
	defer func() { _ = kv.Close() }()
	k3 := newKit(t, kv)
	k3.built = k.built
	same(t, "findings", k3.dump(), old)
	k3.check()
	k3.load("osv", unheld)
	same(t, "findings", k3.dump(), nothing)
	k3.check()
}

// Whoever reads during imports sees one database or the other, never parts of both.
func TestReadersSeeOneDatabase(t *testing.T) {
	k := newKit(t, mem.NewKV())
	var urls []string
	var one, two []string
	for n := range 200 {
		name := fmt.Sprintf("p%d", n)
		urls = append(urls, "pkg:npm/"+name+"@1.0.0")
		one = append(one, record(fmt.Sprintf("GHSA-one-%d", n), "npm", name, "introduced=0"))
		two = append(two, record(fmt.Sprintf("GHSA-two-%d", n), "npm", name, "introduced=0"))
	}
	app := image("acme/app", 1)
	k.put(app, sbom.Distro{}, urls...)
	k.match()
	k.load("osv", one...)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				kinds := map[string]int{}
				if err := k.local.View(k.ctx, func(s store.Snapshot) error {
					r, err := vulns.Findings(s.Records, app)
					if err != nil {
						return err
					}
					for _, f := range r.Findings {
						kinds[f.ID[:8]]++
					}
					return nil
				}); err != nil || len(kinds) != 1 || kinds["GHSA-one"]+kinds["GHSA-two"] != 200 {
					t.Errorf("%v %v", kinds, err)
					return
				}
			}
		})
	}
	for range 5 {
		k.load("osv", two...)
		k.load("osv", one...)
	}
	close(stop)
	readers.Wait()
	k.check()
}

// Of two processes that import at once, the one that began first is told so; nothing of what it wrote is seen.
func TestTwoProcessesImport(t *testing.T) {
	kv := mem.NewKV()
	k := newKit(t, kv)
	estate(k)
	k.load("osv", lodash)
	second := newKit(t, kv)
	second.built = k.built
	slow := &meanwhile{Source: zipped(t, leftPad, unheld), run: func() { second.load("osv", lodash, unheld) }}
	_, err := k.x.Import(k.ctx, vulns.Info{Name: "osv", Built: k.built.Add(2 * 24 * time.Hour), MayShrink: true}, slow)
	if store.CodeOf(err) != store.CodeConflict {
		t.Error(err)
	}
	same(t, "findings", k.dump(), []string{"acme/a GHSA-lodash high affected [4.17.12]"})
	k.check()
	same(t, "records of the journal", k.journal(), 0)
}

// meanwhile runs something between the first record and the second.
type meanwhile struct {
	osv.Source
	n   int
	run func()
}

func (m *meanwhile) Next() (osv.Entry, error) {
	if m.n++; m.n == 2 {
		m.run()
	}
	return m.Source.Next()
}

// A record that several zips hold counts once, as it was changed last, wherever it stands.
func TestRecordTwice(t *testing.T) {
	newer := strings.Replace(strings.Replace(lodash, "4.17.12", "4.17.21", 1), "2026-01-02T03", "2026-01-02T04", 1)
	for _, order := range [][]string{{lodash, newer, lodash}, {newer, lodash}} {
		k := newKit(t, mem.NewKV())
		estate(k)
		for range 2 {
			k.load("osv", order...)
			same(t, "findings", k.dump(), []string{"acme/a GHSA-lodash high affected [4.17.21]", "acme/b GHSA-lodash high affected [4.17.21]"})
			k.check()
		}
	}
}

func TestTheSameDatabaseIsNotRead(t *testing.T) {
	k := newKit(t, mem.NewKV())
	estate(k)
	info := vulns.Info{Name: "osv", Built: day, Digest: "sha256:" + store.Digest(strings.Repeat("a", 64))}
	if _, err := k.x.Import(k.ctx, info, zipped(t, lodash, leftPad)); err != nil {
		t.Fatal(err)
	}
	source := &counted{Source: zipped(t, lodash)}
	d, err := k.x.Import(k.ctx, info, source)
	if err != nil || source.n > 0 || d.Added+d.Removed+d.Changed+len(d.Packages) > 0 {
		t.Errorf("%d records were read, %+v, %v", source.n, d, err)
	}
	// The same content that was made later says how old it is.
	info.Digest, info.Built = "", day.Add(time.Hour)
	if _, err := k.x.Import(k.ctx, info, zipped(t, lodash, leftPad)); err != nil {
		t.Fatal(err)
	}
	k.view(func(r store.Records) error {
		st, err := vulns.Status(r)
		same(t, "made", st.Databases[0].Built, day.Add(time.Hour))
		same(t, "generation", st.Generation, 1)
		same(t, "ecosystems", st.Databases[0].Ecosystems, map[string]int{"npm": 2})
		return err
	})
}

type counted struct {
	osv.Source
	n int
}

func (c *counted) Next() (osv.Entry, error) {
	c.n++
	return c.Source.Next()
}

func TestRemove(t *testing.T) {
	k := newKit(t, mem.NewKV())
	estate(k)
	k.load("osv", lodash)
	k.load("other", leftPad)
	d, err := k.x.Remove(k.ctx, "osv")
	if err != nil {
		t.Fatal(err)
	}
	same(t, "images", k.images(d), []string{"acme/a"})
	same(t, "findings", k.dump(), []string{"acme/a GHSA-pad unknown affected [1.1.0]", "acme/c GHSA-pad unknown affected [1.1.0]"})
	k.check()
	if _, err := k.x.Remove(k.ctx, "osv"); store.CodeOf(err) != store.CodeNotFound {
		t.Error(err)
	}
	k.built = day // a removed one may come back older
	k.load("osv", lodash)
	k.check()
	if err := k.x.Reset(k.ctx); err != nil {
		t.Fatal(err)
	}
	same(t, "after a reset", k.dump(), nothing)
	same(t, "matched again", k.match(), 3)
	k.load("osv", lodash)
	same(t, "findings", k.dump(), []string{"acme/a GHSA-lodash high affected [4.17.12]"})
	k.check()
}

// A packed file of several members that lost the last of them unpacks without an error. It is no whole database, unless somebody says how many records there are.
func TestJoinedFilesProveNothing(t *testing.T) {
	k := newKit(t, mem.NewKV())
	whole := append(gzipped(t, lodash+"\n"), gzipped(t, leftPad+"\n")...)
	load := func(b []byte, count int) error {
		k.built = k.built.Add(time.Hour)
		s, err := osv.Stream("lines", bytes.NewReader(b))
		if err == nil {
			_, err = k.x.Import(k.ctx, vulns.Info{Name: "osv", Built: k.built, Count: count}, s)
		}
		return err
	}
	if err := load(whole, 0); store.CodeOf(err) != store.CodeInvalid || !strings.Contains(err.Error(), "nothing proves") {
		t.Errorf("%v", err)
	}
	if err := load(whole, 2); err != nil {
		t.Error(err)
	}
	if err := load(gzipped(t, lodash+"\n"), 2); store.CodeOf(err) != store.CodeInvalid || !strings.Contains(err.Error(), "truncated") {
		t.Errorf("%v", err)
	}
}
