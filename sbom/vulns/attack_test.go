package vulns_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/finding"
	"github.com/assay-registry/assay/sbom/osv"
	"github.com/assay-registry/assay/sbom/vex"
	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
)

func listed(id, ecosystem, name, versions string) string {
	return fmt.Sprintf(`{"id":%q,"modified":"2026-01-01T00:00:00Z","affected":[{"package":{"ecosystem":%q,"name":%q},"versions":[%s]}]}`, id, ecosystem, name, versions)
}

// Versions by which something slipped through, or was found that is not there.
func TestVersionsThatEvade(t *testing.T) {
	redHat := sbom.Distro{ID: "rhel", Version: "9.4"}
	for _, c := range []lookup{
		{"no version, where a record lists versions alone", []string{listed("MAL-1", "PyPI", "x", `"1.0","1.1"`)}, sbom.Distro{}, "pkg:pypi/x", []string{"MAL-1 unknown"}},
		{"no version that can be compared, where a record lists versions alone", []string{listed("MAL-1", "npm", "x", `"1.0.0"`)}, sbom.Distro{}, "pkg:npm/x@UNKNOWN", []string{"MAL-1 unknown"}},
		{"a listed version, written otherwise", []string{listed("PYSEC-1", "PyPI", "x", `"1.0"`)}, sbom.Distro{}, "pkg:pypi/x@1.0.0", []string{"PYSEC-1 affected"}},
		{"a listed version, with a v", []string{listed("MAL-1", "npm", "x", `"1.0.0"`)}, sbom.Distro{}, "pkg:npm/x@v1.0.0", []string{"MAL-1 affected"}},
		{"a listed version of Go", []string{listed("MAL-1", "Go", "example.com/x", `"1.0.0"`)}, sbom.Distro{}, "pkg:golang/example.com/x@v1.0.0", []string{"MAL-1 affected"}},
		{"Go's standard library, as generators call its version", []string{record("GO-1", "Go", "stdlib", "introduced=0 fixed=1.22.2")}, sbom.Distro{}, "pkg:golang/stdlib@go1.22.1", []string{"GO-1 affected 1.22.2"}},
		{"Go's standard library, fixed", []string{record("GO-1", "Go", "stdlib", "introduced=0 fixed=1.22.2")}, sbom.Distro{}, "pkg:golang/stdlib@go1.22.2", nothing},
		{"Go's standard library, a candidate", []string{record("GO-1", "Go", "stdlib", "introduced=1.23.0-0 fixed=1.23.0")}, sbom.Distro{}, "pkg:golang/stdlib@go1.23rc1", []string{"GO-1 affected 1.23.0"}},
		{"Go, incompatible", []string{record("GHSA-a", "Go", "github.com/docker/docker", "introduced=24.0.0 fixed=24.0.9")}, sbom.Distro{}, "pkg:golang/github.com/docker/docker@v24.0.7%2Bincompatible", []string{"GHSA-a affected 24.0.9"}},
		{"Go, incompatible, fixed", []string{record("GHSA-a", "Go", "github.com/docker/docker", "introduced=24.0.0 fixed=24.0.9")}, sbom.Distro{}, "pkg:golang/github.com/docker/docker@v24.0.9%2Bincompatible", nothing},
		{"Go, a pseudo-version", []string{record("GHSA-a", "Go", "golang.org/x/crypto", "introduced=0 fixed=0.0.0-20220314234659-1baeb1ce4c0b")}, sbom.Distro{}, "pkg:golang/golang.org/x/crypto@v0.0.0-20210921155107-089bfa567519", []string{"GHSA-a affected 0.0.0-20220314234659-1baeb1ce4c0b"}},
		{"Go, a pseudo-version, fixed", []string{record("GHSA-a", "Go", "golang.org/x/crypto", "introduced=0 fixed=0.0.0-20220314234659-1baeb1ce4c0b")}, sbom.Distro{}, "pkg:golang/golang.org/x/crypto@v0.0.0-20220411220226-7b82a4e95df4", nothing},
		{"Maven, a snapshot before the fix", []string{record("GHSA-a", "Maven", "g:x", "introduced=0 fixed=2.0")}, sbom.Distro{}, "pkg:maven/g/x@2.0-SNAPSHOT", []string{"GHSA-a affected 2.0"}},
		{"Maven, a release by its word", []string{record("GHSA-a", "Maven", "g:x", "introduced=0 fixed=5.3.18")}, sbom.Distro{}, "pkg:maven/g/x@5.3.18.RELEASE", nothing},
		{"Debian, an epoch", []string{record("DSA-1", "Debian:12", "x", "introduced=0 fixed=1:1.0-1")}, debian12, "pkg:deb/debian/x@2.0-1?distro=debian-12", []string{"DSA-1 affected 1:1.0-1"}},
		{"Debian, a tilde", []string{record("DSA-1", "Debian:12", "x", "introduced=0 fixed=1.0-1")}, debian12, "pkg:deb/debian/x@1.0-1~deb12u1?distro=debian-12", []string{"DSA-1 affected 1.0-1"}},
		{"RPM, an epoch that the package URL alone tells", []string{record("RHSA-2024:1", "Red Hat:9", "x", "introduced=0 fixed=1:3.0.7-27.el9")}, redHat, "pkg:rpm/redhat/x@3.0.7-28.el9?epoch=1&distro=rhel-9.4", nothing},
		{"RPM, such an epoch and the source", []string{record("RHSA-2024:1", "Red Hat:9", "s", "introduced=0 fixed=1:3.0.7-27.el9")}, redHat, "pkg:rpm/redhat/x@3.0.7-28.el9?epoch=1&distro=rhel-9.4 source=s@3.0.7-28.el9", nothing},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newKit(t, mem.NewKV())
			app := image("acme/app", 1)
			k.put(app, c.distro, c.purl)
			k.load("osv", c.records...)
			same(t, "matched while it is read", found(k.report(app)), c.want)
			k.match()
			same(t, "matched when it was new", found(k.report(app)), c.want)
			k.check()
		})
	}
}

// Two zips share a record, and one of them lags behind: what is installed already must not hide what is newer.
func TestRecordTwiceAndInstalled(t *testing.T) {
	newer := strings.Replace(strings.Replace(lodash, "4.17.12", "4.17.21", 1), "2026-01-02T03", "2026-01-02T04", 1)
	for _, order := range [][]string{{lodash, newer}, {newer, lodash}} {
		k := newKit(t, mem.NewKV())
		estate(k)
		k.load("osv", lodash)
		k.load("osv", order...)
		same(t, "findings", k.dump(), []string{"acme/a GHSA-lodash high affected [4.17.21]", "acme/b GHSA-lodash high affected [4.17.21]"})
		k.check()
	}
}

// A database of the future would look young for ever, and nothing could follow it.
func TestDatabaseOfTheFuture(t *testing.T) {
	k := newKit(t, mem.NewKV())
	_, err := k.x.Import(k.ctx, vulns.Info{Name: "osv", Built: time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC)}, zipped(t, lodash))
	if store.CodeOf(err) != store.CodeInvalid || !strings.Contains(fmt.Sprint(err), "in the future") {
		t.Errorf("%v", err)
	}
}

// An import that fails takes no number: there are 65,535, and one that fails may be tried each minute.
func TestFailedImportsTakeNoNumbers(t *testing.T) {
	k := newKit(t, mem.NewKV())
	estate(k)
	for range 5 {
		if _, err := k.x.Import(k.ctx, vulns.Info{Name: "osv", Built: k.built}, zipped(t, lodash, `{"id":7}`)); err == nil {
			t.Fatal("it passes")
		}
	}
	k.load("osv", lodash)
	k.load("other", leftPad)
	if _, err := k.x.Remove(k.ctx, "osv"); err != nil {
		t.Fatal(err)
	}
	k.load("third", lodash)
	same(t, "numbers", k.x.Numbers(k.ctx), "map[other:2 third:1]")
	k.check()
}

// What is left out of a product, a statement about that part says nothing of the rest.
func TestVEXOfASubpath(t *testing.T) {
	app := image("acme/app", 1)
	k := newKit(t, mem.NewKV())
	k.put(app, sbom.Distro{}, "pkg:golang/example.com/x@v1.0.0")
	k.load("osv", record("CVE-2024-1111", "Go", "example.com/x", "introduced=0"))
	list, err := vex.Parse("", []byte(openVEX("CVE-2024-1111", `{"@id":"pkg:golang/example.com/x@v1.0.0#cmd/y"}`, "not_affected", why)))
	if err != nil {
		t.Fatal(err)
	}
	r := k.report(app)
	finding.Suppress(app, nil, r.Findings, list)
	if r.Findings[0].VEX != nil {
		t.Errorf("%+v", r.Findings[0].VEX)
	}
}

// What is on its way is counted of what the caller may see.
func TestPendingTellsNothingOfOthers(t *testing.T) {
	k := newKit(t, mem.NewKV())
	k.put(image("acme/a", 1), sbom.Distro{}, "pkg:npm/x@1.0.0")
	k.match()
	k.load("osv", record("CVE-2024-1111", "npm", "x", "introduced=0"))
	k.put(image("acme/b", 2), sbom.Distro{}, "pkg:npm/y@1.0.0", "pkg:npm/z@1.0.0") // not matched
	k.queue(image("acme/c", 3), sbom.Distro{}, "pkg:npm/y@1.0.0")                  // not folded
	for repository, want := range map[store.Name]int{"acme/a": 0, "acme/b": 1, "acme/c": 1, "": 2} {
		k.view(func(r store.Records) error {
			page, err := vulns.Affected(r, "CVE-2024-1111", func(i store.Item) bool { return repository == "" || i.Repository == repository }, "", 0)
			same(t, "pending for who sees "+string(repository), page.Pending, want)
			return err
		})
	}
}

// A record that lists very many versions beside very many intervals costs what it is long, and not the product.
func TestRecordOfManyVersionsAndRanges(t *testing.T) {
	var events, versions, affected []string
	for n := range 20_000 {
		events = append(events, fmt.Sprintf(`{"introduced":"%d.0.0"},{"fixed":"%d.5.0"}`, n+1, n+1))
		versions = append(versions, fmt.Sprintf(`"%d.7.0"`, n+1))
	}
	one := `{"package":{"ecosystem":"npm","name":"x"},"ranges":[{"type":"SEMVER","events":[` + strings.Join(events, ",") + `]}],"versions":[` + strings.Join(versions, ",") + `]}`
	for range 10 {
		affected = append(affected, one)
	}
	k := newKit(t, mem.NewKV())
	k.put(image("acme/a", 1), sbom.Distro{}, "pkg:npm/x@7.2.0", "pkg:npm/x@7.6.0", "pkg:npm/x@7.7.0")
	k.load("osv", `{"id":"CVE-2024-1111","modified":"2026-01-01T00:00:00Z","affected":[`+strings.Join(affected, ",")+`]}`)
	var got []string
	for _, f := range k.report(image("acme/a", 1)).Findings {
		got = append(got, f.Package.Version)
	}
	same(t, "affected", got, []string{"7.2.0", "7.7.0"})
}

// An inventory can be written that names hundreds of versions of what has hundreds of advisories. Its report ends early; what is kept of it is written in pieces; and one vulnerability of it can
// still be asked for.
func TestReportOfTooManyFindingsEnds(t *testing.T) {
	k := newKit(t, mem.NewKV())
	var records, urls []string
	for n := range 20 { // each is about 20 vulnerabilities
		var cves []string
		for m := range 20 {
			cves = append(cves, fmt.Sprintf(`"CVE-2026-%d"`, 10000+20*n+m))
		}
		one := record(fmt.Sprintf("DSA-%d", n), "Debian:12", "linux", "introduced=0 fixed=9-1")
		records = append(records, strings.Replace(one, `{`, `{"upstream":[`+strings.Join(cves, ",")+`],`, 1))
	}
	for n := range 251 {
		urls = append(urls, fmt.Sprintf("pkg:deb/debian/linux-%d@1-1?distro=debian-12 source=linux@1-1", n))
	}
	k.put(image("acme/app", 1), debian12, urls...)
	k.put(image("acme/app", 2), debian12, urls[:250]...)
	k.load("osv", records...)
	for _, when := range []string{"matched while it is read", "matched before"} {
		for range 2 { // found out, and as it is kept
			k.summarized(image("acme/app", 1), vulns.ErrTooMany)
			if s := k.summarized(image("acme/app", 2), nil); s == nil || s.Total != 100_000 || s.Counts["unknown"] != 100_000 || len(s.Worst) != vulns.MaxWorst {
				t.Errorf("%s: %+v", when, s)
			}
		}
		k.view(func(r store.Records) error {
			if got, err := vulns.Findings(r, image("acme/app", 1)); got != nil || !errors.Is(err, vulns.ErrTooMany) {
				t.Errorf("%s: %v, %v", when, got != nil, err)
			}
			if got, err := vulns.Unscored(r, image("acme/app", 2)); err != nil || len(got.Findings) != 100_000 {
				t.Errorf("%s, as many as can be: %v, %v", when, got != nil, err)
			}
			page, err := vulns.Affected(r, "CVE-2026-10007", nil, "", 10)
			if err != nil || when == "matched before" && len(page.Images) != 2 {
				t.Errorf("%s: %+v, %v", when, page, err)
				return nil
			}
			for _, one := range page.Images {
				got, err := vulns.Evaluate(r, one.Packages, func(f *finding.Finding) bool { return f.ID == "CVE-2026-10007" })
				if err != nil || len(got.Findings) != len(one.Packages) {
					t.Errorf("%s: %v", when, err)
				}
			}
			return nil
		})
		k.match()
	}
}

// hostile gives records without end, as long as somebody takes them, and counts the bytes that have to be held of each.
type hostile struct {
	n, held int
	record  func(n int) (json string, held int)
}

func (h *hostile) Next() (osv.Entry, error) {
	text, held := h.record(h.n)
	h.n++
	h.held += held
	return osv.Entry{Name: "hostile", JSON: []byte(text)}, nil
}

func (h *hostile) Whole() bool { return true }

// A database with a good signature and names, ids or aliases chosen to fill the memory is refused before it holds more than it may; what is installed stays.
func TestAHostileDatabaseIsHeldWithinItsLimit(t *testing.T) {
	const limit = 4 << 20
	name := func(n int) string { return fmt.Sprintf("%0390d", n) }
	for what, record := range map[string]func(n int) (string, int){
		"long names": func(n int) (string, int) {
			var list []string
			for i := range 100 {
				list = append(list, fmt.Sprintf(`{"package":{"ecosystem":"PyPI","name":%q},"versions":["1"]}`, name(100*n+i)))
			}
			return fmt.Sprintf(`{"id":"A-%d","modified":"2026-01-01T00:00:00Z","affected":[%s]}`, n, strings.Join(list, ",")), 100 * 390
		},
		"many releases of one name": func(n int) (string, int) {
			var list []string
			for i := range 100 {
				list = append(list, fmt.Sprintf(`{"package":{"ecosystem":"Alpaquita:%064d","name":"x"},"versions":["1"]}`, 100*n+i))
			}
			return fmt.Sprintf(`{"id":"A-%d","modified":"2026-01-01T00:00:00Z","affected":[%s]}`, n, strings.Join(list, ",")), 100 * 64
		},
		"long ids of nothing": func(n int) (string, int) {
			return fmt.Sprintf(`{"id":"A-%0120d","modified":"2026-01-01T00:00:00Z"}`, n), 122
		},
		"the same id again and again": func(n int) (string, int) {
			return fmt.Sprintf(`{"id":"A-1","modified":%q,"affected":[{"package":{"ecosystem":"PyPI","name":"x"},"versions":["%0300d"]}]}`, day.Add(time.Duration(n)*time.Second).Format(time.RFC3339), n), 300
		},
	} {
		t.Run(what, func(t *testing.T) {
			k := newKit(t, mem.NewKV())
			k.put(image("acme/app", 1), sbom.Distro{}, "pkg:npm/lodash@4.17.11")
			k.load("osv", lodash)
			k.x.Hold(limit)
			h := &hostile{record: record}
			_, err := k.x.Import(k.ctx, vulns.Info{Name: "osv", Built: k.built.AddDate(0, 0, 1), MayShrink: true}, h)
			if store.CodeOf(err) != store.CodeInvalid || !strings.Contains(err.Error(), "taken in at once, which is 4 MiB; import it in parts") {
				t.Fatal(err)
			}
			if h.held > limit {
				t.Errorf("%d bytes of %d were held", h.held, limit)
			}
			same(t, "what is installed", found(k.report(image("acme/app", 1))), []string{"GHSA-lodash affected 4.17.12"})
			k.check()
			k.x.Hold(1)
			if _, err := k.x.Remove(k.ctx, "osv"); err != nil {
				t.Errorf("it cannot be removed: %v", err)
			}
		})
	}
}

// An inventory can be written that takes a billion comparisons, and finds nothing. Its report waits until they were made, outside of anybody's transaction.
func TestReportOfManyComparisonsWaits(t *testing.T) {
	k := newKit(t, mem.NewKV())
	var records, urls []string
	for n := range 2000 {
		records = append(records, record(fmt.Sprintf("DSA-%d", n), "Debian:12", "linux", "introduced=0 fixed=6-1"))
	}
	for n := range 1200 {
		urls = append(urls, fmt.Sprintf("pkg:deb/debian/linux-%d@9-1?distro=debian-12 source=linux@9-1", n))
	}
	urls = append(urls, "pkg:deb/debian/x@1-1?distro=debian-12")
	k.load("osv", append(records, record("DSA-X", "Debian:12", "x", "introduced=0 fixed=2-1"))...)
	app, small := image("acme/app", 1), image("acme/app", 2)
	k.queue(app, debian12, urls...)
	k.queue(small, debian12, urls[1100:]...)
	for _, when := range []string{"queued", "indexed"} {
		k.summarized(app, vulns.ErrWaits)
		k.summarized(app, vulns.ErrWaits)
		k.view(func(r store.Records) error {
			if got, err := vulns.Unscored(r, app); got != nil || !errors.Is(err, vulns.ErrWaits) {
				t.Errorf("%s: %v, %v", when, got, err)
			}
			return nil
		})
		same(t, when, found(k.report(small)), []string{"DSA-X affected 2-1"})
		if _, err := k.index.Fold(k.ctx); err != nil {
			t.Fatal(err)
		}
	}
	k.match()
	k.view(func(r store.Records) error {
		got, err := vulns.Findings(r, app)
		if err == nil {
			same(t, "matched", found(got), []string{"DSA-X affected 2-1"})
		}
		return err
	})
	if s := k.summarized(app, nil); s == nil || s.Total != 1 {
		t.Errorf("matched: %+v", s)
	}
	k.told = nil
	if _, err := k.x.Deliver(k.ctx); err != nil || len(k.told) == 0 || k.told[len(k.told)-1].Images.GetCardinality() != 2 {
		t.Errorf("%d told, %v", len(k.told), err)
	}
}
