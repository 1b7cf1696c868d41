package vulns_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/osv"
	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/bolt"
	"github.com/assay-registry/assay/store/mem"
)

const (
	benchNames      = 20_000
	benchVersions   = 10 // of each name: 200,000 package versions, as a million images have
	benchAdvisories = 5  // about each name: 100,000
)

var benchKinds = []struct{ ecosystem, name, purl, bound string }{
	{"npm", "pkg%d", "pkg:npm/pkg%d@%d.0.0", "%d.1.0"},
	{"PyPI", "py%d", "pkg:pypi/py%d@%d.0", "%d.1"},
	{"Maven", "org.example:lib%d", "pkg:maven/org.example/lib%d@%d.0", "%d.1"},
	{"Debian:12", "lib%d", "pkg:deb/debian/lib%d@%d.0-1?arch=amd64&distro=debian-12", "%d.1-1"},
}

// benchEstate puts 200,000 package versions, in four images: what images there are beyond that changes nothing here.
func benchEstate(b *testing.B) *kit {
	b.Helper()
	k := newKit(b, mem.NewKV())
	for part := range 4 {
		var urls []string
		for n := part; n < benchNames; n += 4 {
			for v := range benchVersions {
				urls = append(urls, fmt.Sprintf(benchKinds[n%4].purl, n, v))
			}
		}
		k.put(image("acme/app", part), debian12, urls...)
	}
	return k
}

// benchLines makes 100,000 advisories with one or two intervals each: half of the versions of a name are affected by some of them. salt changes every severity.
func benchLines(salt string) []byte {
	var out bytes.Buffer
	for n := range benchNames {
		kind := benchKinds[n%4]
		for a := range benchAdvisories {
			bound := func(v int) string { return fmt.Sprintf(kind.bound, v) }
			events := "introduced=0 fixed=" + bound(a)
			if a%2 == 1 {
				events += " introduced=" + bound(a+2) + " fixed=" + bound(a+3)
			}
			line := record(fmt.Sprintf("GHSA-%05d-%d", n, a), kind.ecosystem, fmt.Sprintf(kind.name, n), events,
				fmt.Sprintf(`"aliases":["CVE-2026-%d"]`, 100_000+n*benchAdvisories+a), `"database_specific":{"severity":"`+salt+`"}`, `"details":"`+strings.Repeat("words of an advisory ", 60)+`"`)
			out.WriteString(strings.ReplaceAll(line, "\n", " "))
			out.WriteByte('\n')
		}
	}
	return out.Bytes()
}

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measured reports the CPU time of all threads per round, garbage collection included.
func measured(b *testing.B, round func()) {
	b.Helper()
	start := cpu(b)
	for b.Loop() {
		round()
	}
	b.ReportMetric((cpu(b)-start).Seconds()/float64(b.N), "cpu-s/op")
}

func (k *kit) lines(text []byte) vulns.Delta {
	k.Helper()
	k.built = k.built.Add(time.Hour)
	s, err := osv.Stream("lines", bytes.NewReader(text))
	if err != nil {
		k.Fatal(err)
	}
	d, err := k.x.Import(k.ctx, vulns.Info{Name: "osv", Built: k.built, Count: benchNames * benchAdvisories}, s)
	if err != nil {
		k.Fatal(err)
	}
	return d
}

// BenchmarkReevaluate evaluates all names of a full database again: 100,000 advisories about 20,000 names, 200,000 package versions. It is the step between reading a new database and
// moving the head: entries and versions are read from the store, compared, and findings compared with those that are kept; a million images add nothing to it. The bar is 5 s of CPU.
func BenchmarkReevaluate(b *testing.B) {
	k := benchEstate(b)
	k.match()
	k.lines(benchLines("HIGH"))
	measured(b, func() {
		if n, err := k.x.Reevaluate(k.ctx, "osv"); err != nil || n != benchNames {
			b.Fatal(n, err)
		}
	})
}

// BenchmarkImport imports the same database where every record differs from what is installed (its severity), so that all is parsed, compiled, written, evaluated and tidied up.
func BenchmarkImport(b *testing.B) {
	k := benchEstate(b)
	k.match()
	texts, n := [][]byte{benchLines("HIGH"), benchLines("LOW")}, 0
	k.lines(texts[1])
	measured(b, func() {
		if d := k.lines(texts[n%2]); d.Changed != benchNames*benchAdvisories || len(d.Packages) == 0 {
			b.Fatalf("%+v", d)
		}
		n++
	})
}

// BenchmarkImportUnchanged imports it where nothing differs: what most of a daily update is.
func BenchmarkImportUnchanged(b *testing.B) {
	k := benchEstate(b)
	k.match()
	text := benchLines("HIGH")
	k.lines(text)
	measured(b, func() { k.lines(text) })
}

// BenchmarkMatch matches 200,000 package versions for the first time.
func BenchmarkMatch(b *testing.B) {
	start := time.Duration(0)
	for b.Loop() {
		b.StopTimer()
		full := benchEstate(b)
		full.lines(benchLines("HIGH"))
		before := cpu(b)
		b.StartTimer()
		full.match()
		start += cpu(b) - before
	}
	b.ReportMetric(start.Seconds()/float64(b.N), "cpu-s/op")
}

// BenchmarkSummary is what a decision pays, in its transaction, for an image of 500 packages with 1,200 findings.
func BenchmarkSummary(b *testing.B) {
	k := newKit(b, mem.NewKV())
	var urls []string
	for n := range 500 {
		urls = append(urls, fmt.Sprintf(benchKinds[n%4].purl, n, n%benchVersions))
	}
	app := image("acme/app", 1)
	k.put(app, debian12, urls...)
	k.match()
	k.lines(benchLines("HIGH"))
	k.deliver()
	k.keep(app)
	b.ReportAllocs()
	measured(b, func() {
		if err := k.local.Peek(k.ctx, func(tx *store.Txn) error {
			s, err := vulns.Summarize(tx, app)
			if err == nil && len(s.Worst) != vulns.MaxWorst {
				b.Fatal(s)
			}
			return err
		}); err != nil {
			b.Fatal(err)
		}
	})
	k.view(func(r store.Records) error {
		b.ReportMetric(float64(vulns.Kept(r, app)), "kept-B")
		return nil
	})
}

// BenchmarkFindings reports on an image of 500 packages.
func BenchmarkFindings(b *testing.B) {
	k := newKit(b, mem.NewKV())
	var urls []string
	for n := range 500 {
		urls = append(urls, fmt.Sprintf(benchKinds[n%4].purl, n, n%benchVersions))
	}
	k.put(image("acme/app", 1), sbom.Distro{ID: "debian", Version: "12"}, urls...)
	k.match()
	k.lines(benchLines("HIGH"))
	measured(b, func() {
		k.view(func(r store.Records) error {
			_, err := vulns.Findings(r, image("acme/app", 1))
			return err
		})
	})
}

// BenchmarkImage reports on an image of 500 packages with 10 findings, 300 of which a base brings, in a store on disk that holds 40,000 package versions: as a reader does, and as a
// decision does, whose commit checks all that was read.
func BenchmarkImage(b *testing.B) {
	kv, err := bolt.Open(filepath.Join(b.TempDir(), "meta.db"), bolt.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = kv.Close() })
	k, rnd := newKit(b, kv), rand.New(rand.NewPCG(1, 1))
	var all []string
	for n := range 40_000 {
		all = append(all, fmt.Sprintf(benchKinds[n/500%4].purl, n, 1))
	}
	k.put(image("acme/all", 0), debian12, all...)
	own := all[3 : 3+300]
	for len(own) < 500 {
		own = append(own[:len(own):len(own)], all[1000+rnd.IntN(len(all)-1000)])
	}
	app := image("acme/app", 1)
	k.put(app, debian12, own...)
	k.match()
	var records []string
	for n := range 40 { // places where databases differ in what they speak of
		records = append(records, record(fmt.Sprintf("GHSA-other-%d", n), []string{"Debian:%d", "Ubuntu:%d.04", "Alpine:3.%d", "Rocky Linux:%d"}[n%4], "nobody-has-it", "introduced=0"))
		records[n] = fmt.Sprintf(strings.ReplaceAll(records[n], "%d", "%[1]d"), n+10)
	}
	for n := range 10 {
		records = append(records, record(fmt.Sprintf("GHSA-%d", n), "npm", fmt.Sprintf("pkg%d", 5+n), "introduced=0 fixed=9.0.0", fmt.Sprintf(`"aliases":["CVE-2026-%d"]`, 1000+n)))
	}
	for n := range 3000 {
		records = append(records, record(fmt.Sprintf("GHSA-rest-%d", n), "npm", fmt.Sprintf("absent%d", n), "introduced=0"))
	}
	k.load("osv", records...)
	var epss strings.Builder
	epss.WriteString("cve,epss,percentile\n")
	for n := range 3000 {
		fmt.Fprintf(&epss, "CVE-2026-%04d,0.00%03d,0.5\n", n+1, n%1000)
	}
	if _, err := k.x.ImportEPSS(k.ctx, vulns.Info{Name: "epss", Built: day, MayShrink: true, Count: 3000}, strings.NewReader(epss.String())); err != nil {
		b.Fatal(err)
	}
	var kev []string
	for n := range 150 {
		kev = append(kev, fmt.Sprintf(`{"cveID":"CVE-2026-%04d","dateAdded":"2026-01-10","dueDate":"2026-02-10"}`, 1005+n*7))
	}
	if _, err := k.x.ImportKEV(k.ctx, vulns.Info{Name: "kev", Built: day}, strings.NewReader(`{"count":150,"vulnerabilities":[`+strings.Join(kev, ",")+`]}`)); err != nil {
		b.Fatal(err)
	}
	report := func(r store.Records, of func(store.Records, store.Item) (*vulns.Report, error)) error {
		report, err := of(r, app)
		if err == nil && (len(report.Findings) != 10 || report.Pending > 0) {
			b.Fatalf("%d findings, %d pending", len(report.Findings), report.Pending)
		}
		return err
	}
	b.Run("reader", func(b *testing.B) {
		b.ReportAllocs()
		measured(b, func() { k.view(func(r store.Records) error { return report(r, vulns.Findings) }) })
	})
	b.Run("decision", func(b *testing.B) {
		b.ReportAllocs()
		measured(b, func() {
			if err := k.local.Peek(k.ctx, func(tx *store.Txn) error { return report(tx.Records, vulns.Unscored) }); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("kept", func(b *testing.B) {
		k.deliver()
		k.keep(app)
		b.ReportAllocs()
		measured(b, func() {
			if err := k.local.Peek(k.ctx, func(tx *store.Txn) error {
				s, err := vulns.Summarize(tx, app)
				if err == nil && s.Total != 10 {
					b.Fatal(s)
				}
				return err
			}); err != nil {
				b.Fatal(err)
			}
		})
	})
}
