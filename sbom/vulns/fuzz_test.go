package vulns_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/finding"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/osv"
	"github.com/assay-registry/assay/sbom/vex"
	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
)

// FuzzSource imports any bytes as a database. Whatever comes through is checked.
func FuzzSource(f *testing.F) {
	for _, s := range [][]byte{[]byte(lodash), []byte("[" + lodash + "," + leftPad + "]"), gzipped(f, lodash+"\n"+leftPad),
		[]byte(record("DSA-1", "Debian:12", "x", "introduced=0 fixed=1", `"upstream":["CVE-2024-1111","CVE-2024-2222"]`, `"withdrawn":"2026-01-01T00:00:00Z"`)), []byte(`{"id":"A","affected":[{"package":{"purl":"pkg:npm/x"}}]}`)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := osv.Open("file", bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		k := newKit(t, mem.NewKV())
		app := image("a", 1)
		k.put(app, debian12, "pkg:npm/lodash@4.17.11", "pkg:npm/left-pad@1.0.0", "pkg:deb/debian/x@0.5", "pkg:npm/x@1.0.0")
		k.match()
		if _, err := k.x.Import(k.ctx, vulns.Info{Name: "osv", Built: day}, s); err != nil && store.CodeOf(err) != store.CodeInvalid {
			t.Error(err)
		}
		k.report(app)
		k.check()
	})
}

func FuzzAdvisory(f *testing.F) {
	f.Add([]byte(lodash))
	f.Add([]byte(record("DSA-1", "Ubuntu:Pro:22.04:LTS", "x", "introduced=1 last_affected=2 limit=*", `"aliases":["CVE-2024-1111"]`, `"severity":[{"type":"CVSS_V4","score":"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"},{"type":"Ubuntu","score":"low"}]`)))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := osv.ParseAdvisory(b)
		if err == nil && !vulns.RoundTrip(a, b) {
			t.Errorf("%+v", a)
		}
	})
}

func FuzzVEX(f *testing.F) {
	app := image("acme/app", 1)
	f.Add([]byte(openVEX("CVE-2024-1111", `{"@id":"pkg:oci/app@`+string(app.Digest)+`","subcomponents":[{"@id":"pkg:npm/x"}]}`, "not_affected", why)))
	f.Add([]byte(`{"bomFormat":"CycloneDX","components":[{"bom-ref":"a","purl":"pkg:npm/x@1","components":[{"bom-ref":"b"}]}],"vulnerabilities":[{"id":"CVE-2024-1111","analysis":{"state":"resolved"},"affects":[{"ref":"a"}]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := vex.Parse("", b)
		if err != nil {
			return
		}
		findings := []finding.Finding{{ID: "CVE-2024-1111", Package: index.PackageVersion{Name: "pkg:npm/x", PURL: "pkg:npm/x@1", Version: "1"}}}
		finding.Suppress(app, nil, findings, list)
		if len(findings) != 1 || findings[0].VEX != nil && findings[0].VEX.Status == vex.StillAffected && findings[0].VEX.Suppressed {
			t.Errorf("%+v", findings)
		}
	})
}

func FuzzEnrichment(f *testing.F) {
	f.Add(epssHead + "CVE-2024-1111,0.5,0.6\n")
	f.Add(`{"count":1,"vulnerabilities":[{"cveID":"CVE-2024-1111","dateAdded":"2024-05-06"}]}`)
	f.Fuzz(func(t *testing.T, s string) {
		k := newKit(t, mem.NewKV())
		k.put(image("a", 1), sbom.Distro{}, "pkg:npm/lodash@4.17.11")
		for _, read := range []func() error{
			func() error {
				_, err := k.x.ImportEPSS(context.Background(), vulns.Info{Name: "epss", Built: day, Count: 1}, strings.NewReader(s))
				return err
			},
			func() error {
				_, err := k.x.ImportKEV(context.Background(), vulns.Info{Name: "kev", Built: day}, strings.NewReader(s))
				return err
			},
		} {
			if err := read(); err != nil && store.CodeOf(err) != store.CodeInvalid {
				t.Error(err)
			}
		}
		k.check()
	})
}

// FuzzRecords reads any bytes as records of the store: errors, never a panic, never memory beyond what the bytes can hold.
func FuzzRecords(f *testing.F) {
	f.Add([]byte{1, 0})
	f.Add([]byte{2, 0xff, 0xff, 0xff, 0xff, 0x7f})
	k := newKit(f, mem.NewKV())
	estate(k)
	k.load("osv", lodash, leftPad)
	k.view(func(r store.Records) error {
		for _, p := range r.Space(vulns.Space).Scan([]byte{0}, nil, 100) {
			f.Add(p.Value)
		}
		return nil
	})
	f.Fuzz(func(_ *testing.T, b []byte) { vulns.DecodeAll(b) })
}
