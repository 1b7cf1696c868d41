package vulns_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/exploit"
	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
)

const epssHead = "#model_version:v2025.03.14,score_date:2026-03-01T00:00:00+0000\ncve,epss,percentile\n"

func TestEPSSAndKEV(t *testing.T) {
	k := newKit(t, mem.NewKV())
	k.put(image("a", 1), sbom.Distro{}, "pkg:npm/x@1.0.0")
	k.put(image("b", 2), sbom.Distro{}, "pkg:npm/y@1.0.0")
	k.match()
	k.load("osv", record("GHSA-1", "npm", "x", "introduced=0", `"aliases":["CVE-2024-1111"]`), record("GHSA-2", "npm", "x", "introduced=0", `"aliases":["CVE-2024-5000"]`), record("GHSA-3", "npm", "y", "introduced=0"))
	epss := func(text string) vulns.Delta {
		k.built = k.built.Add(1e9)
		d, err := k.x.ImportEPSS(k.ctx, vulns.Info{Name: "epss", Built: k.built}, bytes.NewReader(gzipped(t, epssHead+text)))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	kev := func(ids ...string) vulns.Delta {
		var list []string
		for _, id := range ids {
			list = append(list, fmt.Sprintf(`{"cveID":%q,"dateAdded":"2024-05-06","dueDate":"2024-05-20","knownRansomwareCampaignUse":"Known"}`, id))
		}
		k.built = k.built.Add(1e9)
		d, err := k.x.ImportKEV(k.ctx, vulns.Info{Name: "kev", Built: k.built, MayShrink: true}, strings.NewReader(fmt.Sprintf(`{"title":"x","count":%d,"vulnerabilities":[%s]}`, len(ids), strings.Join(list, ","))))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := epss("CVE-2024-5000,0.97340,0.99950\nCVE-2024-1111,0.00043,0.08210\nCVE-1999-0001,0.01,0.5\n")
	same(t, "packages that EPSS changes", []any{d.Added, len(d.Packages)}, []any{3, 0})
	same(t, "the likelier one first", k.report(image("a", 1)).Findings[0].EPSS, &exploit.EPSS{Score: 0.9734, Percentile: 0.9995})
	d = kev("CVE-2024-1111", "CVE-2021-44228")
	same(t, "images of KEV", []any{k.images(d), d.IDs}, []any{[]string{"a"}, []string{"CVE-2021-44228", "CVE-2024-1111"}})
	f := k.report(image("a", 1)).Findings[0]
	same(t, "the exploited one first", []any{f.ID, f.KEV.Ransomware, f.KEV.Added.Format("2006-01-02")}, []any{"CVE-2024-1111", true, "2024-05-06"})
	d = kev("CVE-2024-1111")
	same(t, "an entry that goes", []any{k.images(d), d.Removed}, []any{nothing, 1})
	k.check()
	epss("CVE-2024-1111,0.5,0.6\nCVE-2024-1112,0.5,0.6\n")
	if f := k.report(image("a", 1)).Findings[1]; f.EPSS != nil {
		t.Errorf("a score that went is still there: %+v", f.EPSS)
	}
	if _, err := k.x.ImportKEV(k.ctx, vulns.Info{Name: "second", Built: k.built}, strings.NewReader("{}")); store.CodeOf(err) != store.CodeConflict {
		t.Error(err)
	}
	if _, err := k.x.Remove(k.ctx, "kev"); err != nil {
		t.Fatal(err)
	}
	same(t, "without the catalogue", k.report(image("a", 1)).Findings[0].KEV == nil, true)
	k.check()
}

func TestEnrichmentIsRefused(t *testing.T) {
	k := newKit(t, mem.NewKV())
	for name, c := range map[string][2]string{
		"another header":  {"id,score\n", "first line"},
		"a cut line":      {epssHead + "CVE-2024-1111,0.5,0.6\nCVE-2024-11", "line 4"},
		"not a number":    {epssHead + "CVE-2024-1111,NaN,0.6\n", "line 3"},
		"too much":        {epssHead + "CVE-2024-1111,1.5,0.6\n", "line 3"},
		"no proof of end": {epssHead + "CVE-2024-1111,0.5,0.6\n", "nothing proves"},
		"a long line":     {epssHead + strings.Repeat("x", 5000), "to its end"},
		"nothing":         {"", "nothing proves"},
	} {
		if _, err := k.x.ImportEPSS(k.ctx, vulns.Info{Name: "epss", Built: day}, strings.NewReader(c[0])); store.CodeOf(err) != store.CodeInvalid || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string][2]string{
		"cut off":       {`{"count":2,"vulnerabilities":[{"cveID"`, "not all of it"},
		"another count": {`{"count":2,"vulnerabilities":[{"cveID":"CVE-2024-1111","dateAdded":"2024-05-06"}]}`, "not the number"},
		"no CVE":        {`{"vulnerabilities":[{"cveID":"X","dateAdded":"2024-05-06"}]}`, "is not a CVE"},
		"no day":        {`{"vulnerabilities":[{"cveID":"CVE-2024-1111"}]}`, "is not a CVE with the day"},
		"empty":         {`{"vulnerabilities":[]}`, "no records"},
	} {
		if _, err := k.x.ImportKEV(k.ctx, vulns.Info{Name: "kev", Built: day}, strings.NewReader(c[0])); store.CodeOf(err) != store.CodeInvalid || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
