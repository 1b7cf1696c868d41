package vulns_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
)

// kernel makes advisories about a package of a distribution, all of which hold for versions before 9.
func kernel(ecosystem, name string, n int) (records []string) {
	for i := range n {
		records = append(records, record(fmt.Sprintf("CVE-2026-%d", 10000+i), ecosystem, name, "introduced=0 fixed=9-1"))
	}
	return records
}

// An inventory can be written that names any number of versions of what has thousands of advisories. What is kept of one version is bounded, and nothing of it is lost: reports, imports that change one finding of
// thousands, and questions for one vulnerability say what they would if all were kept.
func TestWhatIsKeptOfAVersionIsBounded(t *testing.T) {
	k := newKit(t, mem.NewKV())
	app, few := image("acme/app", 1), image("acme/few", 2)
	var urls []string
	for n := range 12 {
		urls = append(urls, fmt.Sprintf("pkg:deb/debian/linux-%d@1.%d-1?distro=debian-12 source=linux@1.%d-1", n, n, n))
	}
	k.put(app, debian12, urls...)
	k.put(few, debian12, "pkg:deb/debian/linux-image@9-1?distro=debian-12 source=linux@9-1", "pkg:deb/debian/linux-0@1.0-1?distro=debian-12 source=linux@1.0-1")
	records := kernel("Debian:12", "linux", 1000)
	k.load("osv", records...)
	k.match()
	bounded := func(what string) {
		t.Helper()
		k.view(func(r store.Records) error {
			if versions, bytes := vulns.FoundBytes(r); versions != 12 || bytes > 12*64 {
				t.Errorf("%s: %d bytes are kept of %d versions", what, bytes, versions)
			}
			return nil
		})
		same(t, what, len(k.report(few).Findings), 1000)
		same(t, what, len(k.report(app).Findings), 12_000)
		k.check()
	}
	bounded("matched when they were new")

	records[7] = strings.Replace(records[7], "9-1", "8-1", 1)
	d := k.load("osv", records...)
	same(t, "by an import that changes one", []any{len(d.Packages), d.Changed}, []any{12, 1})
	bounded("after an import")
	same(t, "by an import that changes none of theirs", len(k.load("osv", append(records, unheld)...).Packages), 0)
	k.view(func(r store.Records) error {
		page, err := vulns.Affected(r, "CVE-2026-10007", nil, "", 10)
		if err != nil || len(page.Images) != 2 || len(page.Images[0].Packages) != 12 || len(page.Images[1].Packages) != 1 {
			t.Errorf("%d images, %v", len(page.Images), err)
		}
		return nil
	})
	kev := `{"count":1,"vulnerabilities":[{"cveID":"CVE-2026-10007","dateAdded":"2026-02-01"}]}`
	d, err := k.x.ImportKEV(k.ctx, vulns.Info{Name: "kev", Built: day}, strings.NewReader(kev))
	same(t, "by a catalogue", []any{len(d.Packages), err}, []any{12, nil})

	same(t, "by an import that leaves few", len(k.load("osv", records[:3]...).Packages), 12)
	same(t, "few", len(k.report(app).Findings), 36)
	same(t, "by an import that brings them again", len(k.load("osv", records...).Packages), 12)
	bounded("brought by an import")
}

// A package of RPM's is looked up by two names: what is found by one is found again when the other changes.
func TestManyFindingsByTwoNames(t *testing.T) {
	k := newKit(t, mem.NewKV())
	app := image("acme/app", 1)
	k.put(app, sbom.Distro{ID: "rhel", Version: "9.4"}, "pkg:rpm/redhat/kernel-core@1-1?distro=rhel-9.4 source=kernel@1-1")
	many, own := kernel("Red Hat:9", "kernel", 200), record("RHSA-2026:1", "Red Hat:9", "kernel-core", "introduced=0 fixed=2-1")
	k.match()
	for _, records := range [][]string{append(many, own), many, append(many[:5:5], own), {own}, append(many, own), {}} {
		k.load("osv", records...)
		same(t, "findings", len(k.report(app).Findings), len(records))
		k.check()
	}
}

// Of too many such versions there is no report, and no verdict that rests on one; those that are not matched yet wait.
func TestTooManyVersionsWithManyFindings(t *testing.T) {
	k := newKit(t, mem.NewKV())
	app, rest := image("acme/app", 1), image("acme/rest", 2)
	var urls []string
	for n := range 750 {
		urls = append(urls, fmt.Sprintf("pkg:deb/debian/linux-%d@1-1?distro=debian-12 source=linux@1-1", n))
	}
	records := kernel("Debian:12", "linux", 130)
	for n := range 3000 {
		records = append(records, record(fmt.Sprintf("CVE-2025-%d", 10000+n), "Debian:12", "linux", "introduced=3-1 fixed=9-1"))
	}
	k.load("osv", records...)
	k.put(app, debian12, urls...)
	k.put(rest, debian12, urls[:600]...)
	k.summarized(app, vulns.ErrWaits)
	k.match()
	k.summarized(app, vulns.ErrTooMany)
	k.view(func(r store.Records) error {
		if got, err := vulns.Unscored(r, app); got != nil || !errors.Is(err, vulns.ErrTooMany) {
			t.Errorf("%v, %v", got != nil, err)
		}
		return nil
	})
	if s := k.summarized(rest, nil); s == nil || s.Total != 78_000 {
		t.Errorf("%v", s != nil)
	}
}
