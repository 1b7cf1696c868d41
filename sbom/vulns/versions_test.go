package vulns_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store/mem"
)

// listing makes a record of listed versions alone.
func listing(id, ecosystem, name, versions string) string {
	return `{"id":"` + id + `","modified":"2026-01-01T00:00:00Z","affected":[{"package":{"ecosystem":"` + ecosystem + `","name":"` + name + `"},"versions":[` + versions + `]}]}`
}

var (
	alpine320 = sbom.Distro{ID: "alpine", Version: "3.20.3"}
	archLinux = sbom.Distro{ID: "arch"}
)

// versions are those of which a comparison that knows too little says that they are clean.
var versions = []lookup{
	{"PyPI, a build for some hardware of the last affected version", []string{record("GHSA-a", "PyPI", "torch", "introduced=0 last_affected=2.0.1")}, sbom.Distro{}, "pkg:pypi/torch@2.0.1%2Bcu118", []string{"GHSA-a affected"}},
	{"PyPI, a build of a listed version", []string{listing("GHSA-a", "PyPI", "torch", `"2.0.0","2.0.1"`)}, sbom.Distro{}, "pkg:pypi/torch@2.0.1%2Bcu118", []string{"GHSA-a affected"}},
	{"PyPI, a build of the fixed version", []string{record("GHSA-a", "PyPI", "torch", "introduced=0 fixed=2.0.1")}, sbom.Distro{}, "pkg:pypi/torch@2.0.1%2Bcu118", nothing},
	{"PyPI, fixed by a build", []string{record("GHSA-a", "PyPI", "torch", "introduced=0 fixed=2.0.1+fix.2")}, sbom.Distro{}, "pkg:pypi/torch@2.0.1%2Bfix.2", nothing},
	{"PyPI, before the build that fixes", []string{record("GHSA-a", "PyPI", "torch", "introduced=0 fixed=2.0.1+fix.2")}, sbom.Distro{}, "pkg:pypi/torch@2.0.1%2Bfix.1", []string{"GHSA-a affected 2.0.1+fix.2"}},
	{"PyPI, no version of PEP 440", []string{record("GHSA-a", "PyPI", "x", "introduced=0.1 fixed=0.2")}, sbom.Distro{}, "pkg:pypi/x@0.1.43ubuntu1.1", []string{"GHSA-a unknown 0.2"}},
	{"PyPI, epoch", []string{record("GHSA-a", "PyPI", "x", "introduced=0 fixed=1%211.0")}, sbom.Distro{}, "pkg:pypi/x@2024.1", []string{"GHSA-a unknown"}},
	{"npm, a capital V", []string{record("GHSA-a", "npm", "x", "introduced=1.0.0 fixed=2.0.0")}, sbom.Distro{}, "pkg:npm/x@V1.2.3", []string{"GHSA-a affected 2.0.0"}},
	{"npm, four numbers", []string{record("GHSA-a", "npm", "x", "introduced=1.2.3 fixed=2.0.0")}, sbom.Distro{}, "pkg:npm/x@1.2.3.4", []string{"GHSA-a unknown 2.0.0"}},
	{"NuGet, four numbers", []string{record("GHSA-a", "NuGet", "x", "introduced=1.2.3 fixed=2.0.0")}, sbom.Distro{}, "pkg:nuget/x@1.2.3.4", []string{"GHSA-a affected 2.0.0"}},
	{"NuGet, five numbers", []string{record("GHSA-a", "NuGet", "x", "introduced=1.2.3 fixed=2.0.0")}, sbom.Distro{}, "pkg:nuget/x@1.2.3.0.5", []string{"GHSA-a unknown 2.0.0"}},
	{"Conan, a letter behind", []string{record("GHSA-a", "ConanCenter", "openssl", "introduced=1.1.1 fixed=1.1.2")}, sbom.Distro{}, "pkg:conan/openssl@1.1.1t", []string{"GHSA-a unknown 1.1.2"}},
	{"Packagist, two numbers are three", []string{record("GHSA-a", "Packagist", "a/x", "introduced=2.0.0 fixed=2.1.0")}, sbom.Distro{}, "pkg:composer/a/x@2.0", []string{"GHSA-a affected 2.1.0"}},
	{"Packagist, three numbers are two", []string{record("GHSA-a", "Packagist", "a/x", "introduced=0 last_affected=1.2")}, sbom.Distro{}, "pkg:composer/a/x@v1.2.0", []string{"GHSA-a affected"}},
	{"Packagist, a branch", []string{record("GHSA-a", "Packagist", "a/x", "introduced=1.0.0 fixed=2.1.0")}, sbom.Distro{}, "pkg:composer/a/x@dev-php8", []string{"GHSA-a unknown 2.1.0"}},
	{"Packagist, the end of a branch", []string{record("GHSA-a", "Packagist", "a/x", "introduced=2.0.0 fixed=3.0.0")}, sbom.Distro{}, "pkg:composer/a/x@2.x-dev", []string{"GHSA-a unknown 3.0.0"}},
	{"Packagist, capitals", []string{record("GHSA-a", "Packagist", "a/x", "introduced=1.0.0-alpha1 fixed=1.0.0")}, sbom.Distro{}, "pkg:composer/a/x@1.0.0-Beta2", []string{"GHSA-a affected 1.0.0"}},
	{"RubyGems, a platform", []string{record("GHSA-a", "RubyGems", "nokogiri", "introduced=1.13.9 fixed=1.13.10")}, sbom.Distro{}, "pkg:gem/nokogiri@1.13.9-x86_64-linux", []string{"GHSA-a affected 1.13.10"}},
	{"RubyGems, a platform of the fixed version", []string{record("GHSA-a", "RubyGems", "nokogiri", "introduced=1.13.9 fixed=1.13.10")}, sbom.Distro{}, "pkg:gem/nokogiri@1.13.10-java", nothing},
	{"Bitnami, a revision", []string{record("BIT-a", "Bitnami", "postgresql", "introduced=17.5.0 fixed=17.6.0")}, sbom.Distro{}, "pkg:bitnami/postgresql@17.5.0-3", []string{"BIT-a affected 17.6.0"}},
	{"Bitnami, a revision of the fixed version", []string{record("BIT-a", "Bitnami", "postgresql", "introduced=0 fixed=17.6.0")}, sbom.Distro{}, "pkg:bitnami/postgresql@17.6.0-1", nothing},
	{"Julia, a build", []string{record("JLSEC-a", "Julia", "OpenSSL_jll", "introduced=0 fixed=3.0.16+1")}, sbom.Distro{}, "pkg:julia/OpenSSL_jll@3.0.16%2B0", []string{"JLSEC-a affected 3.0.16+1"}},
	{"Julia, builds are numbers", []string{record("JLSEC-a", "Julia", "OpenSSL_jll", "introduced=0 fixed=3.0.16+10")}, sbom.Distro{}, "pkg:julia/OpenSSL_jll@3.0.16%2B9", []string{"JLSEC-a affected 3.0.16+10"}},
	{"Alpine, no version", []string{record("ALPINE-CVE-2024-1111", "Alpine:v3.20", "x", "introduced=3.0-r0 fixed=3.1-r0")}, alpine320, "pkg:apk/alpine/x@3.0-custom?distro=alpine-3.20.3", []string{"CVE-2024-1111 unknown 3.1-r0"}},
	{"Alpine, a patch level", []string{record("ALPINE-CVE-2024-1111", "Alpine:v3.20", "x", "introduced=0 fixed=1.2.3_p2-r0")}, alpine320, "pkg:apk/alpine/x@1.2.3_p1-r9?distro=alpine-3.20.3", []string{"CVE-2024-1111 affected 1.2.3_p2-r0"}},
	{"Arch Linux, before a release", []string{record("AVG-1", "Arch Linux", "x", "introduced=0 fixed=1.0-1")}, archLinux, "pkg:alpm/arch/x@1.0rc1-1", []string{"AVG-1 affected 1.0-1"}},
	{"Debian, before a release", []string{record("DSA-1", "Debian:12", "x", "introduced=0 fixed=1.0-1")}, debian12, "pkg:deb/debian/x@1.0~rc1-5?distro=debian-12", []string{"DSA-1 affected 1.0-1"}},
	{"Debian, an epoch", []string{record("DSA-1", "Debian:12", "x", "introduced=0 fixed=1:0.5-1")}, debian12, "pkg:deb/debian/x@9.0-1?distro=debian-12", []string{"DSA-1 affected 1:0.5-1"}},
	{"Red Hat, before and behind a release", []string{record("RHSA-1", "Red Hat:enterprise_linux:9::baseos", "x", "introduced=0 fixed=0:1.0^20240101-1.el9")}, sbom.Distro{ID: "rhel", Version: "9.4"}, "pkg:rpm/redhat/x@1.0-7.el9?distro=rhel-9.4", []string{"RHSA-1 affected 0:1.0^20240101-1.el9"}},
	{"a limit beyond another", []string{record("GHSA-a", "npm", "x", "introduced=0 limit=2.0.0 limit=3.0.0")}, sbom.Distro{}, "pkg:npm/x@2.5.0", []string{"GHSA-a affected"}},
	{"beyond all limits", []string{record("GHSA-a", "npm", "x", "introduced=0 limit=2.0.0 limit=3.0.0")}, sbom.Distro{}, "pkg:npm/x@3.0.0", nothing},
	{"no limit beside one", []string{record("GHSA-a", "npm", "x", "introduced=0 limit=2.0.0 limit=*")}, sbom.Distro{}, "pkg:npm/x@3.0.0", []string{"GHSA-a affected"}},
	{"introduced again behind a limit", []string{record("GHSA-a", "npm", "x", "introduced=0 fixed=1.0.0 introduced=3.0.0 limit=2.0.0")}, sbom.Distro{}, "pkg:npm/x@3.1.0", nothing},
	{"a very long number", []string{record("GHSA-a", "npm", "x", "introduced=0 fixed=1.99999999999999999999999999.0")}, sbom.Distro{}, "pkg:npm/x@1.99999999999999999999999998.0", []string{"GHSA-a affected 1.99999999999999999999999999.0"}},
}

func TestVersionsThatLookClean(t *testing.T) {
	for _, c := range versions {
		t.Run(c.name, func(t *testing.T) {
			k := newKit(t, mem.NewKV())
			app := image("acme/app", 1)
			k.put(app, c.distro, c.purl)
			k.match()
			k.load("osv", c.records...)
			same(t, "matched by an import", found(k.report(app)), c.want)
			k.check()
		})
	}
}

// A name has any number of versions: an import evaluates all of them, however many it reads at once.
func TestManyVersionsOfOneName(t *testing.T) {
	for _, page := range []int{1, 3, 4096} {
		k := newKit(t, mem.NewKV())
		k.x.Page(page)
		var want []string
		for n := range 7 {
			k.put(image(fmt.Sprintf("r%d", n), n), sbom.Distro{}, fmt.Sprintf("pkg:npm/x@1.0.%d", n), fmt.Sprintf("pkg:npm/y@1.0.%d", n))
			want = append(want, fmt.Sprintf("r%d", n))
		}
		k.match()
		d := k.load("osv", record("CVE-2026-1000", "npm", "x", "introduced=0 fixed=2.0.0"), record("GHSA-b", "npm", "y", "introduced=0 fixed=1.0.3"))
		same(t, "images", k.images(d), want)
		k.check()
		for n := range 7 {
			findings := []string{"CVE-2026-1000 affected 2.0.0"}
			if n < 3 {
				findings = append(findings, "GHSA-b affected 1.0.3")
			}
			same(t, "findings", found(k.report(image(fmt.Sprintf("r%d", n), n))), findings)
		}
	}
}

// A release that a record names is a word: one with a separator of keys would make what is said about the name unreadable.
func TestAReleaseWithSeparators(t *testing.T) {
	k := newKit(t, mem.NewKV())
	app, stream := image("acme/app", 1), sbom.Distro{ID: "alpaquita", Version: "stream"}
	k.put(app, stream, "pkg:apk/alpaquita/x@1.0-r0?distro=alpaquita-stream")
	k.match()
	k.load("osv", record("A-1", "Alpaquita:stream", "x", "introduced=0 fixed=2.0-r0"), strings.Replace(record("A-2", "Alpaquita:?", "x", "introduced=0"), "?", `a\u0000b`, 1))
	same(t, "findings", found(k.report(app)), []string{"A-1 affected 2.0-r0"})
	k.check()
}
