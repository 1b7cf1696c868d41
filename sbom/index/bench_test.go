package index_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/bolt"
	"github.com/assay-registry/assay/store/mem"
)

// TestOnDisk builds the index of many images on bbolt, measures sizes and queries, and compares a sample of answers with a scan of every inventory.
// ASSAY_TEST_LONG=1 go test ./sbom/index -run OnDisk -v -timeout 60m does it with 100,000 images of 500 packages.
func TestOnDisk(t *testing.T) {
	images, packages, names, batch, queries := 1024, 60, 600, 512, 20
	if os.Getenv("ASSAY_TEST_LONG") != "" {
		images, packages, names, batch, queries = 100_000, 500, 20_000, 10_000, 1000
	}
	file := filepath.Join(t.TempDir(), "meta.db")
	kv, err := bolt.Open(file, bolt.Options{Fatal: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	k, e := newKit(t, kv), newEstate(11, packages, names)
	start := time.Now()
	sample, ids := map[store.Item]*sbom.Inventory{}, map[string]uint32{}
	for n := 0; n < images; {
		if err := k.x.Load(k.ctx, func(intern func(*sbom.Package) uint32, put func(store.Item, []uint32)) {
			for range batch {
				urls := e.draw()
				set := make([]uint32, len(urls))
				for i, s := range urls {
					if _, ok := ids[s]; !ok {
						ids[s] = intern(&inventory(s).Packages[0])
					}
					set[i] = ids[s]
				}
				item := image(fmt.Sprintf("team%d/app%d", n%97, n%1009), n)
				if n%250 == 0 {
					item.Repository = "sample/app"
					sample[item] = inventory(urls...)
				}
				put(item, set)
				n++
			}
		}); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d images after %.0f s", n, time.Since(start).Seconds())
	}
	stored := (images + batch - 1) / batch * batch
	latencies(t, k, names, queries)
	for _, q := range naiveQueries(names) {
		q.globs = store.Globs{"sample/**"}
		compareNaive(t, k, sample, q)
	}
	start = time.Now()
	k.check()
	t.Logf("checked in %.1f s", time.Since(start).Seconds())
	if err := kv.Close(); err != nil {
		t.Fatal(err)
	}
	sizes(t, file, float64(stored*packages))
}

// latencies asks for ranges of names that few and that many images have.
func latencies(t *testing.T, k *kit, names, queries int) {
	for _, c := range []struct {
		what string
		ask  func(n int) index.Query
	}{
		{"range, all names", func(n int) index.Query { return rangeOf(n * names / queries) }},
		{"range, the 100 most frequent names", func(n int) index.Query { return rangeOf(n % 100) }},
		{"licence", func(n int) index.Query { return index.Query{License: "Apache-2.0", Limit: 1} }},
	} {
		var took []time.Duration
		var found uint64
		for n := range queries {
			q := c.ask(n)
			k.view(func(r store.Records) error {
				best := time.Hour // of five: the work, not the neighbours of this machine
				for range 5 {
					start := time.Now()
					if _, err := index.Find(r, q, nil); err != nil {
						return err
					}
					best = min(best, time.Since(start))
				}
				took = append(took, best)
				count, err := index.Count(r, q)
				found = max(found, count)
				return err
			})
		}
		slices.Sort(took)
		t.Logf("%s: p50 %v, p99 %v, at most %d images found", c.what, took[len(took)/2], took[len(took)*99/100], found)
	}
}

func rangeOf(n int) index.Query {
	return index.Query{Pattern: fmt.Sprintf([]string{"pkg:npm/pkg%d", "pkg:pypi/py%d", "pkg:maven/org.example/lib%d"}[n%3], n), Range: "<2.1.0", Limit: 1}
}

// sizes reports what the index takes, before and after compaction.
func sizes(t *testing.T, file string, postings float64) {
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	src, err := bbolt.Open(file, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	compacted := file + ".compact"
	dst, err := bbolt.Open(compacted, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := bbolt.Compact(dst, src, 1<<20); err != nil {
		t.Fatal(err)
	}
	classes := map[byte]int{}
	if err := dst.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(key, v []byte) error {
				if len(key) > 6 && key[0] == 'X' {
					classes[key[6]] += len(key) + len(v)
				}
				return nil
			})
		})
	}); err != nil {
		t.Fatal(err)
	}
	for class, n := range classes {
		t.Logf("%c: %.2f bytes per posting", class, float64(n)/postings)
	}
	if err := dst.Close(); err != nil {
		t.Fatal(err)
	}
	if err := src.Close(); err != nil {
		t.Fatal(err)
	}
	small, err := os.Stat(compacted)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("file: %.2f bytes per posting, compacted %.2f", float64(info.Size())/postings, float64(small.Size())/postings)
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
