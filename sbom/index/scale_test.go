package index_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/bolt"
	"github.com/assay-registry/assay/store/mem"
)

// The bars of the long run.
const (
	barBytes = 8.0
	barRange = time.Millisecond
)

// scale is how much of an estate a run makes.
type scale struct{ images, packages, names, batch, queries, pushed int }

// TestOnDisk builds the index of many images on bbolt, most of them in commits of as many images as a fold takes, the last ones as pushes do; measures sizes, queries and pushes; compares
// counts with a scan of every image, and the answers about a sample with a scan of its inventories; and checks it. In the long run, with 100,000 images of 500 packages, the bars must hold:
// ASSAY_TEST_LONG=1 go test ./sbom/index -run OnDisk -v -timeout 2h. Times are CPU time: other processes do not count.
func TestOnDisk(t *testing.T) {
	size := scale{images: 1024, packages: 60, names: 600, batch: 512, queries: 20, pushed: 40}
	long := os.Getenv("ASSAY_TEST_LONG") != ""
	if long {
		size = scale{images: 100_000, packages: 500, names: 20_000, batch: 64, queries: 1000, pushed: 2000}
	}
	file := filepath.Join(t.TempDir(), "meta.db")
	kv, err := bolt.Open(file, bolt.Options{Fatal: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	l := &load{kit: newKit(t, kv), e: newEstate(11, size.packages, size.names), size: size, sample: map[store.Item]*sbom.Inventory{}, queries: naiveQueries(size.names, 25)}
	l.counts, l.masks = make([]uint64, len(l.queries)), make([]uint64, len(l.e.urls))
	l.report("loading", l.fill)
	l.report("pushing", l.push)
	l.compare()
	slowest := l.latencies()
	l.report("checking", l.checked)
	if err := kv.Close(); err != nil {
		t.Fatal(err)
	}
	if bytes := l.sizes(file); long && bytes > barBytes {
		t.Errorf("%.2f bytes per posting; the bar is %.1f", bytes, barBytes)
	}
	if long && slowest > barRange {
		t.Errorf("a range query takes %v of CPU (p99); the bar is %v", slowest, barRange)
	}
}

// load is a run of TestOnDisk.
type load struct {
	*kit
	e       *estate
	size    scale
	n       int // images so far
	sample  map[store.Item]*sbom.Inventory
	queries []naive
	counts  []uint64 // images that match each of queries
	masks   []uint64 // which queries a package matches, if the lowest bit says that it is known
}

// report runs a part and tells its CPU time and the memory that the process has.
func (l *load) report(what string, run func()) {
	l.Helper()
	start := cpu(unix.CLOCK_PROCESS_CPUTIME_ID)
	run()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	l.Logf("%s: %.1f s of CPU; %d images; heap %d MiB in use, %d MiB from the system so far", what, (cpu(unix.CLOCK_PROCESS_CPUTIME_ID) - start).Seconds(), l.n, m.HeapInuse>>20, m.Sys>>20)
}

// cpu reads a clock of CPU time.
func cpu(clock int32) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(clock, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}

// next draws the next image, and counts it.
func (l *load) next() (store.Item, []int) {
	packages := l.e.draw()
	app := l.n % 1009
	item := image(fmt.Sprintf("team%d/app%d", app%97, app), l.n)
	if l.n%250 == 0 {
		item.Repository = "sample/app"
		l.sample[item] = l.e.inventory(packages)
	}
	matched := uint64(0)
	for _, p := range packages {
		if l.masks[p] == 0 {
			l.masks[p] = l.mask(p)
		}
		matched |= l.masks[p]
	}
	for q := range l.queries {
		l.counts[q] += matched >> (q + 1) & 1
	}
	l.n++
	return item, packages
}

// mask says which queries a package matches.
func (l *load) mask(n int) uint64 {
	mask, p := uint64(1), &inventory(l.e.url(n)).Packages[0]
	base := p.Base()
	for i, q := range l.queries {
		if (q.name == "" || q.name == base) && q.matches(l.TB, p) {
			mask |= 2 << i
		}
	}
	return mask
}

// fill loads all but the images that are pushed.
func (l *load) fill() {
	ids := make([]uint32, len(l.e.urls))
	for l.n < l.size.images-l.size.pushed {
		if err := l.x.Load(l.ctx, func(intern func(*sbom.Package) uint32, put func(store.Item, []uint32)) {
			for range min(l.size.batch, l.size.images-l.size.pushed-l.n) {
				item, packages := l.next()
				set := make([]uint32, len(packages))
				for i, p := range packages {
					if ids[p] == 0 {
						ids[p] = intern(&inventory(l.e.url(p)).Packages[0])
					}
					set[i] = ids[p]
				}
				put(item, set)
			}
		}); err != nil {
			l.Fatal(err)
		}
	}
}

// push puts images and folds them: a tenth of them each alone, as it comes, and the others as a backlog.
func (l *load) push() {
	var alone []time.Duration
	for range l.size.pushed / 10 {
		item, packages := l.next()
		inv := l.e.inventory(packages)
		start := cpu(unix.CLOCK_PROCESS_CPUTIME_ID)
		l.put(item, inv)
		if f := l.fold(); f.Images != 1 {
			l.Fatalf("%+v", f)
		}
		alone = append(alone, cpu(unix.CLOCK_PROCESS_CPUTIME_ID)-start)
	}
	slices.Sort(alone)
	l.Logf("put and folded alone: p50 %v, p99 %v of CPU per image", alone[len(alone)/2], alone[len(alone)*99/100])
	var putting time.Duration
	for l.n < l.size.images {
		item, packages := l.next()
		inv := l.e.inventory(packages)
		start := cpu(unix.CLOCK_PROCESS_CPUTIME_ID)
		l.put(item, inv)
		putting += cpu(unix.CLOCK_PROCESS_CPUTIME_ID) - start
	}
	start := cpu(unix.CLOCK_PROCESS_CPUTIME_ID)
	f := l.fold()
	took := cpu(unix.CLOCK_PROCESS_CPUTIME_ID) - start
	l.Logf("a backlog of %d: put with %v, folded with %v of CPU per image, in %d commits of %v each", f.Images, putting/time.Duration(f.Images), took/time.Duration(f.Images), f.Commits, took/time.Duration(f.Commits))
}

// compare compares counts with those of all images, and answers about the sample with a scan of its inventories.
func (l *load) compare() {
	for i, q := range l.queries {
		l.view(func(r store.Records) error {
			n, err := index.Count(r, index.Query{Pattern: q.name, Range: q.versions, License: q.license})
			if n != l.counts[i] {
				l.Errorf("%+v: the index counts %d images, a scan %d", q, n, l.counts[i])
			}
			return err
		})
		q.globs = store.Globs{"sample/**"}
		compareNaive(l.TB, l.kit, l.sample, q)
	}
	l.Logf("%d queries count as a scan of %d images does, and find what a scan of %d inventories does", len(l.queries), l.n, len(l.sample))
}

// latencies asks each query once, for ranges of names that few and that many images have, and returns the worst p99 of CPU of those that ask for the first match.
func (l *load) latencies() (slowest time.Duration) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ranges := []string{"<2.1.0", ">=1.0.0,<3", "<0.2.0", "vers:npm/>=0.3.0|<1.4.0|>=2.2.0|<2.3.0"}
	all := func(n int) index.Query {
		return index.Query{Pattern: estateName(n * l.size.names / l.size.queries), Range: ranges[n%len(ranges)]}
	}
	frequent := func(n int) index.Query {
		return index.Query{Pattern: estateName(n % 100), Range: ranges[n/100%len(ranges)]}
	}
	licence := func(n int) index.Query { return index.Query{License: []string{"Apache-2.0", "GCC-exception-3.1"}[n%2]} }
	for _, c := range []struct {
		what  string
		ask   func(n int) index.Query
		limit int
		bar   bool
	}{
		{"range, all names, first match", all, 1, true},
		{"range, the 100 most frequent names, first match", frequent, 1, true},
		{"range, all names, a page of 100 images", all, 100, false},
		{"range, the 100 most frequent names, a page of 100 images", frequent, 100, false},
		{"licence, first match", licence, 1, false},
	} {
		var took []time.Duration
		var found uint64
		for n := range l.size.queries {
			q := c.ask(n)
			q.Limit = c.limit
			start := cpu(unix.CLOCK_THREAD_CPUTIME_ID)
			if _, err := l.page(q, nil); err != nil {
				l.Fatal(err)
			}
			took = append(took, cpu(unix.CLOCK_THREAD_CPUTIME_ID)-start)
			l.view(func(r store.Records) error {
				count, err := index.Count(r, q)
				found = max(found, count)
				return err
			})
		}
		slices.Sort(took)
		p99 := took[len(took)*99/100]
		l.Logf("%s: p50 %v, p99 %v of CPU, at most %d images found", c.what, took[len(took)/2], p99, found)
		if c.bar {
			slowest = max(slowest, p99)
		}
	}
	return slowest
}

// checked checks the index, and the sample against its documents.
func (l *load) checked() {
	runtime.GC()
	peak := &peak{Context: l.ctx}
	compared := 0
	problems, err := index.Check(peak, l.local, func(_ context.Context, image store.Item, _ index.Origin) (*sbom.Inventory, error) {
		inv := l.sample[image]
		if inv == nil {
			return nil, index.ErrUnread
		}
		compared++
		return inv, nil
	}, 20)
	if err != nil || len(problems) > 0 || compared != len(l.sample) {
		l.Errorf("%v %v; compared %d of %d documents", err, problems, compared, len(l.sample))
	}
	l.Logf("checked all records, and %d documents; heap at most %d MiB, of which the test's own %d", compared, peak.most>>20, peak.first>>20)
}

// peak is a context that looks at the heap whenever it is asked, which the check does in each snapshot.
type peak struct {
	context.Context
	first, most uint64 // bytes
}

func (p *peak) Err() error {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if p.most = max(p.most, m.HeapAlloc); p.first == 0 {
		p.first = m.HeapAlloc
	}
	return p.Context.Err()
}

// sizes reports what the index takes, by class of records, as the file is and compacted, and returns the last per posting.
func (l *load) sizes(file string) float64 {
	postings := float64(l.n * l.size.packages)
	src, err := bbolt.Open(file, 0o600, &bbolt.Options{ReadOnly: true, PreLoadFreelist: true})
	if err != nil {
		l.Fatal(err)
	}
	compacted := file + ".compact"
	dst, err := bbolt.Open(compacted, 0o600, nil)
	if err != nil {
		l.Fatal(err)
	}
	if err := bbolt.Compact(dst, src, 1<<20); err != nil {
		l.Fatal(err)
	}
	l.classes(dst, postings)
	free := src.Stats().FreePageN * src.Info().PageSize
	if err := dst.Close(); err != nil {
		l.Fatal(err)
	}
	if err := src.Close(); err != nil {
		l.Fatal(err)
	}
	large, small := l.fileSize(file), l.fileSize(compacted)
	l.Logf("file: %.2f bytes per posting, of which %.2f in use and %.2f free pages; compacted %.2f", large/postings, (large-float64(free))/postings, float64(free)/postings, small/postings)
	return small / postings
}

func (l *load) classes(db *bbolt.DB, postings float64) {
	type class struct{ records, keys, values int }
	classes := map[byte]*class{}
	if err := db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(key, v []byte) error {
				if len(key) > 6 && key[0] == 'X' {
					c := classes[key[6]]
					if c == nil {
						c = &class{}
						classes[key[6]] = c
					}
					c.records++
					c.keys += len(key)
					c.values += len(v)
				}
				return nil
			})
		})
	}); err != nil {
		l.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(classes)) {
		c := classes[name]
		l.Logf("%c: %d records, %.2f and %.2f bytes of keys and values per posting", name, c.records, float64(c.keys)/postings, float64(c.values)/postings)
	}
}

func (l *load) fileSize(file string) float64 {
	info, err := os.Stat(file)
	if err != nil {
		l.Fatal(err)
	}
	return float64(info.Size())
}

func BenchmarkPutAndFold(b *testing.B) {
	k, e := newKit(b, mem.NewKV()), newEstate(3, 500, 20_000)
	for n := range 1000 {
		k.put(image("acme/app", n), e.next())
	}
	k.fold()
	n := 1000
	for b.Loop() {
		k.put(image("acme/app", n), e.next())
		k.fold()
		n++
	}
}
