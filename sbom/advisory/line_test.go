package advisory_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"syscall"
	"testing"
	"time"

	"github.com/assay-registry/assay/sbom/advisory"
	"github.com/assay-registry/assay/sbom/ecosystem"
	"github.com/assay-registry/assay/sbom/osv"
)

// prepared is what records say about a name of a distribution.
func prepared(t testing.TB, name string, list []osv.Advisory) *advisory.Prepared {
	t.Helper()
	e := advisory.Entry{}
	var p advisory.Prepared
	for n := range list {
		_, items := advisory.Compile(&list[n], fmt.Appendf(nil, "%d", n))
		for k, i := range items {
			p.Order, p.Strict, e.Release = k.Order(), k.Semantic(), k.Release
			e.Items = append(e.Items, advisory.ReadyItem{Item: i})
			e.Weight += 1 + len(i.Spans) + len(i.Versions)
		}
	}
	if len(e.Items) != len(list) {
		t.Fatalf("%d of %d records are about %s", len(e.Items), len(list), name)
	}
	p.Entries = []advisory.Entry{e}
	return &p
}

func random(rnd *rand.Rand) string {
	part := func() string {
		return []string{"", "0", "00", "1", "2", "10", "a", "rc", "~", "~rc1", "^", "+b", ".1"}[rnd.IntN(13)]
	}
	return fmt.Sprintf("%s%d.%d%s%s-%d%s", []string{"", "", "0:", "1:"}[rnd.IntN(4)], rnd.IntN(3), rnd.IntN(3), part(), part(), rnd.IntN(3), part())
}

func records(rnd *rand.Rand, ecosystem string, n int, version func(*rand.Rand) string) (list []osv.Advisory) {
	for i := range n {
		a := osv.AffectedPackage{Ecosystem: ecosystem, Name: "linux"}
		r := osv.Range{Type: "ECOSYSTEM", Events: []osv.Event{{Kind: "introduced", Version: "0"}}}
		for range rnd.IntN(4) {
			r.Events = append(r.Events, osv.Event{Kind: []string{"introduced", "fixed", "last_affected", "limit"}[rnd.IntN(4)], Version: version(rnd)})
		}
		a.Ranges = []osv.Range{r}
		for range rnd.IntN(3) {
			a.Versions = append(a.Versions, version(rnd))
		}
		list = append(list, osv.Advisory{ID: fmt.Sprintf("CVE-2026-%05d", i), Affected: []osv.AffectedPackage{a}})
	}
	return list
}

// Versions of one line concern the same records as those that are compared with each.
func TestALineSaysWhatComparisonsSay(t *testing.T) {
	for _, where := range []string{"Debian:12", "Ubuntu:22.04:LTS", "Rocky Linux:9"} {
		rnd := rand.New(rand.NewPCG(3, 4))
		list := records(rnd, where, 300, random)
		shared := prepared(t, "linux", list)
		sought := ecosystem.Sought{Release: shared.Entries[0].Release}
		hits := 0
		for n := range 200 {
			if sought.Version = random(rnd); n%50 == 49 {
				sought.Version = "no number"
			}
			have := shared.Match(0, sought)
			want := prepared(t, "linux", list).Match(0, sought)
			if !reflect.DeepEqual(have, want) {
				t.Fatalf("%s %s:\n%+v\n%+v", where, sought.Version, have, want)
			}
			hits += len(have)
		}
		if hits == 0 {
			t.Error("nothing was found")
		}
	}
}

// BenchmarkKernel matches versions of a kernel with the 10,000 records that there are about one, made ready before: by their place in a line, and by comparisons with each. Beside wall time it prints the CPU time of all
// threads, garbage collection included.
func BenchmarkKernel(b *testing.B) {
	version := func(rnd *rand.Rand) string {
		return fmt.Sprintf("6.%d.%d-%d+deb12u%d", rnd.IntN(12), rnd.IntN(200), rnd.IntN(4), rnd.IntN(3))
	}
	for _, way := range []string{"place", "each"} {
		b.Run(way, func(b *testing.B) {
			rnd := rand.New(rand.NewPCG(3, 4))
			p := prepared(b, "linux", records(rnd, "Debian:12", 10_000, version))
			if way == "each" {
				p.Unaligned()
			}
			found := 0
			one := func() { found += len(p.Match(0, ecosystem.Sought{Release: "12", Version: version(rnd)})) }
			for range 8 { // more than it takes until there is a line
				one()
			}
			found = 0
			start := cpu(b)
			for b.Loop() {
				one()
			}
			b.ReportMetric(float64((cpu(b)-start).Microseconds())/1000/float64(b.N), "cpu-ms/op")
			b.ReportMetric(float64(found)/float64(b.N), "found/op")
		})
	}
}

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
