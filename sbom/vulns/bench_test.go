package vulns_test

import (
	"bytes"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/store"
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
	s, err := vulns.Stream("lines", bytes.NewReader(text))
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
