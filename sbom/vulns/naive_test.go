package vulns_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/osv"
	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/store/mem"
)

// naive is one advisory about one package, as the schema's own algorithm evaluates it.
type naive struct {
	id, ecosystem, name string
	events              []osv.Event
	versions            []string
	withdrawn           bool
}

func (n *naive) json() string {
	var events []map[string]string
	for _, e := range n.events {
		events = append(events, map[string]string{e.Kind: e.Version})
	}
	p := map[string]any{"package": map[string]string{"ecosystem": n.ecosystem, "name": n.name}, "versions": n.versions}
	if len(events) > 0 {
		p["ranges"] = []any{map[string]any{"type": "ECOSYSTEM", "events": events}}
	}
	r := map[string]any{"id": n.id, "modified": "2026-01-01T00:00:00Z", "affected": []any{p}}
	if n.withdrawn {
		r["withdrawn"] = "2026-01-01T00:00:00Z"
	}
	b, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// affects is the evaluation of the schema: versions that are listed, else the events in order.
func (n *naive) affects(order, version string) bool {
	if n.withdrawn {
		return false
	}
	if slices.Contains(n.versions, version) {
		return true
	}
	compare := func(a, b string) int {
		c, err := index.Compare(order, a, b)
		if err != nil {
			panic(err)
		}
		return c
	}
	events := slices.Clone(n.events)
	slices.SortStableFunc(events, func(a, b osv.Event) int {
		if first := func(e osv.Event) bool { return e.Kind == "introduced" && e.Version == "0" }; first(a) || first(b) { // "0" is before any version
			return map[bool]int{true: -1, false: 1}[first(a)]
		}
		return compare(a.Version, b.Version)
	})
	limited := func(e osv.Event) bool { return e.Kind == "limit" }
	if slices.ContainsFunc(events, limited) && !slices.ContainsFunc(events, func(e osv.Event) bool { return limited(e) && compare(version, e.Version) < 0 }) {
		return false // it is before none of the limits
	}
	hit := false
	for _, e := range events {
		c := compare(version, e.Version)
		switch {
		case e.Kind == "introduced" && (e.Version == "0" || c >= 0):
			hit = true
		case e.Kind == "fixed" && c >= 0, e.Kind == "last_affected" && c > 0:
			hit = false
		}
	}
	return hit
}

type naiveKind struct {
	ecosystem, order, purl string
	version                func(*rand.Rand) string
}

var naiveKinds = []naiveKind{
	{"npm", "npm", "pkg:npm/p%d@%s", func(r *rand.Rand) string {
		return fmt.Sprintf("%d.%d.0%s", r.IntN(3), r.IntN(4), []string{"", "", "-rc.1"}[r.IntN(3)])
	}},
	{"PyPI", "PyPI", "pkg:pypi/p%d@%s", func(r *rand.Rand) string {
		return fmt.Sprintf("%d.%d%s", r.IntN(3), r.IntN(4), []string{"", "rc1", ".post1"}[r.IntN(3)])
	}},
	{"Debian:12", "Debian", "pkg:deb/debian/p%d@%s?distro=debian-12", func(r *rand.Rand) string {
		return fmt.Sprintf("%d.%d-%d%s", r.IntN(3), r.IntN(3), 1+r.IntN(2), []string{"", "~bpo1", "+deb12u1"}[r.IntN(3)])
	}},
	{"Rocky Linux:9", "Red Hat", "pkg:rpm/rocky/p%d@%s?distro=rocky-9.3", func(r *rand.Rand) string { return fmt.Sprintf("%d.%d-%d.el9", r.IntN(3), r.IntN(3), r.IntN(3)) }},
}

const naiveImages, naiveNames = 8, 6

// installed is a package of an image.
type installed struct{ purl, name, version string }

// estate puts random images, matched now or later.
func (n naiveKind) estate(k *kit, rnd *rand.Rand) map[string][]installed {
	images := map[string][]installed{}
	for i := range naiveImages {
		var urls []string
		repo := fmt.Sprintf("r%d", i)
		for range 1 + rnd.IntN(5) {
			p, version := rnd.IntN(naiveNames), n.version(rnd)
			one := installed{fmt.Sprintf(n.purl, p, strings.ReplaceAll(version, "+", "%2B")), fmt.Sprintf("p%d", p), version}
			if !slices.Contains(images[repo], one) {
				images[repo], urls = append(images[repo], one), append(urls, one.purl)
			}
		}
		k.put(image(repo, i), sbom.Distro{}, urls...)
		if rnd.IntN(2) == 0 {
			k.match()
		}
	}
	return images
}

// database makes random advisories.
func (n naiveKind) database(rnd *rand.Rand) (list []naive) {
	for i := range 10 {
		a := naive{id: fmt.Sprintf("ADV-%d", i), ecosystem: n.ecosystem, name: fmt.Sprintf("p%d", rnd.IntN(naiveNames)), withdrawn: rnd.IntN(8) == 0}
		if rnd.IntN(5) > 0 {
			a.events = []osv.Event{{Kind: "introduced", Version: "0"}}
			seen := map[string]bool{}
			for e := range rnd.IntN(4) {
				if v := n.version(rnd); !seen[v] {
					seen[v] = true
					a.events = append(a.events, osv.Event{Kind: []string{"fixed", "introduced", "last_affected", "limit"}[(e+rnd.IntN(3))%4], Version: v})
				}
			}
			rnd.Shuffle(len(a.events), func(i, j int) { a.events[i], a.events[j] = a.events[j], a.events[i] })
		}
		for range rnd.IntN(3) {
			a.versions = append(a.versions, n.version(rnd))
		}
		if len(a.events)+len(a.versions) > 0 {
			list = append(list, a)
		}
	}
	rnd.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// TestNaive compares random estates and databases, through several imports, with the evaluation of each record for each package.
func TestNaive(t *testing.T) {
	rounds := 60
	if testing.Short() {
		rounds = 5
	}
	for round := range rounds {
		rnd := rand.New(rand.NewPCG(uint64(round), 7))
		k, kind := newKit(t, mem.NewKV()), naiveKinds[round%len(naiveKinds)]
		images := kind.estate(k, rnd)
		for range 3 {
			list := kind.database(rnd)
			var records []string
			for i := range list {
				records = append(records, list[i].json())
			}
			before := k.states(naiveImages)
			d := k.load("osv", records...)
			for n := range naiveImages {
				repo := fmt.Sprintf("r%d", n)
				var have, want []string
				for _, f := range k.report(image(repo, n)).Findings {
					have = append(have, f.ID+" "+f.Package.PURL)
				}
				for _, i := range images[repo] {
					for _, a := range list {
						if a.name == i.name && a.affects(kind.order, i.version) {
							want = append(want, a.id+" "+purl(i.purl))
						}
					}
				}
				slices.Sort(have)
				slices.Sort(want)
				if !slices.Equal(have, want) {
					t.Fatalf("round %d, %s:\nhave %v\nwant %v\nof %v", round, repo, have, want, records)
				}
			}
			k.exact(d, before, k.states(naiveImages))
			k.match()
			k.check()
		}
	}
}

// states lists the findings of each image whose packages are all matched.
func (k *kit) states(images int) map[string]string {
	out := map[string]string{}
	for n := range images {
		repo := fmt.Sprintf("r%d", n)
		r := k.report(image(repo, n))
		if r.Pending > 0 {
			continue
		}
		for i := range r.Findings {
			r.Findings[i].Modified = time.Time{}
		}
		b, err := json.Marshal(r.Findings)
		if err != nil {
			k.Fatal(err)
		}
		out[repo] = string(b)
	}
	return out
}

// exact checks that a delta names the images whose findings differ, and no others.
func (k *kit) exact(d vulns.Delta, before, after map[string]string) {
	k.Helper()
	told := k.images(d)
	for repo, was := range before {
		if differs := was != after[repo]; differs != slices.Contains(told, repo) {
			k.Fatalf("%s differs: %v; the delta names %v\n%s\n%s", repo, differs, told, was, after[repo])
		}
	}
}

func purl(s string) string {
	u, err := sbom.ParsePURL(s)
	if err != nil {
		panic(err)
	}
	return u.String()
}
