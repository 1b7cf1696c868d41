package vulns_test

import (
	"slices"
	"testing"
	"time"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/finding"
	"github.com/assay-registry/assay/sbom/osv"
	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
)

var (
	debian12  = sbom.Distro{ID: "debian", Version: "12"}
	nothing   = []string{}
	noRelease = sbom.Distro{ID: "debian"}
)

const ubuntuBoth = `{"id":"UBUNTU-CVE-2024-1111","upstream":["CVE-2024-1111"],"modified":"2026-01-01T00:00:00Z","affected":[
	{"package":{"name":"vips","ecosystem":"Ubuntu:22.04:LTS"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}],"versions":["8.12.1-1"]},
	{"package":{"name":"vips","ecosystem":"Ubuntu:Pro:22.04:LTS"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"8.12.1-1ubuntu0.1~esm1"}]}]}]}`

type lookup struct {
	name    string
	records []string
	distro  sbom.Distro
	purl    string
	want    []string
}

// languages and distributions look up one package in databases of a record or two, shaped as those of the ecosystem.
var languages = []lookup{
	{"npm", []string{record("GHSA-jf85-cpcp-j695", "npm", "lodash", "introduced=0 fixed=4.17.12", `"aliases":["CVE-2019-10744"]`)}, sbom.Distro{}, "pkg:npm/lodash@4.17.11", []string{"CVE-2019-10744 affected 4.17.12"}},
	{"npm, fixed", []string{record("GHSA-jf85-cpcp-j695", "npm", "lodash", "introduced=0 fixed=4.17.12")}, sbom.Distro{}, "pkg:npm/lodash@4.17.12", nothing},
	{"npm, scope", []string{record("GHSA-a", "npm", "@babel/traverse", "introduced=0 fixed=7.23.2 introduced=8.0.0-alpha.0 fixed=8.0.0-alpha.4")}, sbom.Distro{}, "pkg:npm/%40babel/traverse@8.0.0-alpha.3", []string{"GHSA-a affected 8.0.0-alpha.4"}},
	{"npm, the fix that is nearest comes first", []string{record("GHSA-a", "npm", "x", "introduced=0 fixed=1.2.3 introduced=2.0.0 fixed=2.1.0")}, sbom.Distro{}, "pkg:npm/x@1.0.0", []string{"GHSA-a affected 1.2.3,2.1.0"}},
	{"npm, between the intervals", []string{record("GHSA-a", "npm", "x", "introduced=0 fixed=1.2.3 introduced=2.0.0 fixed=2.1.0")}, sbom.Distro{}, "pkg:npm/x@1.9.0", nothing},
	{"npm, events in any order", []string{record("GHSA-a", "npm", "x", "fixed=2.1.0 introduced=2.0.0 fixed=1.2.3 introduced=0")}, sbom.Distro{}, "pkg:npm/x@2.0.5", []string{"GHSA-a affected 2.1.0"}},
	{"npm, a link instead of a version", []string{record("GHSA-a", "npm", "x", "introduced=0 fixed=1.2.3")}, sbom.Distro{}, "pkg:npm/x@file:..%2Fx", []string{"GHSA-a unknown 1.2.3"}},
	{"npm, without version", []string{record("GHSA-a", "npm", "x", "introduced=0 fixed=1.2.3")}, sbom.Distro{}, "pkg:npm/x", []string{"GHSA-a unknown 1.2.3"}},
	{"npm, malicious", []string{record("MAL-2024-1", "npm", "x", "introduced=0")}, sbom.Distro{}, "pkg:npm/x@9.9.9", []string{"MAL-2024-1 affected"}},
	{"Maven", []string{record("GHSA-jfh8-c2jp-5v3q", "Maven", "org.apache.logging.log4j:log4j-core", "introduced=2.13.0 fixed=2.15.0 introduced=2.4 fixed=2.12.2", `"aliases":["CVE-2021-44228"]`)}, sbom.Distro{},
		"pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1", []string{"CVE-2021-44228 affected 2.15.0"}},
	{"Maven, last affected", []string{record("GHSA-a", "Maven", "g:a", "introduced=1.0 last_affected=1.5")}, sbom.Distro{}, "pkg:maven/g/a@1.5", []string{"GHSA-a affected"}},
	{"Maven, behind the last affected", []string{record("GHSA-a", "Maven", "g:a", "introduced=1.0 last_affected=1.5")}, sbom.Distro{}, "pkg:maven/g/a@1.5.1", nothing},
	{"Maven, property instead of a version", []string{record("GHSA-a", "Maven", "g:a", "introduced=0 fixed=2")}, sbom.Distro{}, "pkg:maven/g/a@$%7Bversion%7D", []string{"GHSA-a unknown 2"}},
	{"Go", []string{record("GO-2023-1", "Go", "golang.org/x/net", "introduced=0 fixed=0.17.0", `"aliases":["CVE-2023-39325","GHSA-4374-p667-p6c8"]`)}, sbom.Distro{}, "pkg:golang/golang.org/x/net@v0.16.0", []string{"CVE-2023-39325 affected 0.17.0"}},
	{"Go, standard library", []string{record("GO-2024-2", "Go", "stdlib", "introduced=0 fixed=1.21.8 introduced=1.22.0-0 fixed=1.22.1")}, sbom.Distro{}, "pkg:golang/stdlib@1.22.0", []string{"GO-2024-2 affected 1.22.1"}},
	{"Go, capitals", []string{record("GO-1", "Go", "github.com/Masterminds/goutils", "introduced=0 fixed=1.1.1")}, sbom.Distro{}, "pkg:golang/github.com/masterminds/goutils@v1.1.0", []string{"GO-1 affected 1.1.1"}},
	{"Go, not released", []string{record("GO-1", "Go", "github.com/a/b", "introduced=0 fixed=1.1.1")}, sbom.Distro{}, "pkg:golang/github.com/a/b@(devel)", []string{"GO-1 unknown 1.1.1"}},
	{"PyPI", []string{record("PYSEC-2024-1", "PyPI", "Flask_Security.Too", "introduced=0 fixed=1.0.post1")}, sbom.Distro{}, "pkg:pypi/flask-security-too@1.0", []string{"PYSEC-2024-1 affected 1.0.post1"}},
	{"RubyGems", []string{record("GHSA-a", "RubyGems", "rails", "introduced=0 fixed=7.0.0")}, sbom.Distro{}, "pkg:gem/rails@7.0.0.rc1", []string{"GHSA-a affected 7.0.0"}},
	{"crates.io", []string{record("RUSTSEC-2021-0003", "crates.io", "smallvec", "introduced=0.6.3 fixed=0.6.14 introduced=1.0.0 fixed=1.6.1")}, sbom.Distro{}, "pkg:cargo/smallvec@1.6.0", []string{"RUSTSEC-2021-0003 affected 1.6.1"}},
	{"NuGet", []string{record("GHSA-a", "NuGet", "Newtonsoft.Json", "introduced=0 fixed=13.0.1")}, sbom.Distro{}, "pkg:nuget/newtonsoft.json@12.0.3", []string{"GHSA-a affected 13.0.1"}},
	{"Packagist", []string{record("GHSA-a", "Packagist", "symfony/http-kernel", "introduced=2.0.0 fixed=5.4.20")}, sbom.Distro{}, "pkg:composer/symfony/http-kernel@v5.4.19", []string{"GHSA-a affected 5.4.20"}},
	{"Hex", []string{record("GHSA-a", "Hex", "phoenix", "introduced=0 fixed=1.6.14")}, sbom.Distro{}, "pkg:hex/phoenix@1.6.13", []string{"GHSA-a affected 1.6.14"}},
	{"Pub", []string{record("GHSA-a", "Pub", "http", "introduced=0 fixed=0.13.3")}, sbom.Distro{}, "pkg:pub/http@0.13.2", []string{"GHSA-a affected 0.13.3"}},
	{"SwiftURL", []string{record("GHSA-a", "SwiftURL", "github.com/apple/swift-nio-http2", "introduced=1.0.0 fixed=1.19.2")}, sbom.Distro{}, "pkg:swift/github.com/apple/swift-nio-http2@1.19.1", []string{"GHSA-a affected 1.19.2"}},
	{"GitHub Actions", []string{record("GHSA-a", "GitHub Actions", "tj-actions/changed-files", "introduced=0 fixed=46.0.1")}, sbom.Distro{}, "pkg:github/tj-actions/changed-files@v45", []string{"GHSA-a affected 46.0.1"}},
	{"GitHub Actions, a commit", []string{record("GHSA-a", "GitHub Actions", "tj-actions/changed-files", "introduced=0 fixed=46.0.1")}, sbom.Distro{}, "pkg:github/tj-actions/changed-files@4532bd7cbbfb7a2a0fa5d3ac3d0ed4f5a1aeb8f0", []string{"GHSA-a unknown 46.0.1"}},
	{"Bitnami", []string{record("BIT-wordpress-2024-1", "Bitnami", "wordpress", "introduced=0 fixed=6.4.3")}, sbom.Distro{}, "pkg:bitnami/wordpress@6.4.2", []string{"BIT-wordpress-2024-1 affected 6.4.3"}},
	{"listed versions", []string{`{"id":"PYSEC-1","modified":"2026-01-01T00:00:00Z","affected":[{"package":{"ecosystem":"PyPI","name":"x"},"versions":["1.0","1.1"]}]}`}, sbom.Distro{}, "pkg:pypi/x@1.1", []string{"PYSEC-1 affected"}},
	{"not a listed version", []string{`{"id":"PYSEC-1","modified":"2026-01-01T00:00:00Z","affected":[{"package":{"ecosystem":"PyPI","name":"x"},"versions":["1.0","1.1"]}]}`}, sbom.Distro{}, "pkg:pypi/x@1.2", nothing},
	{"a listed version outside of the range", []string{`{"id":"PYSEC-1","modified":"2026-01-01T00:00:00Z","affected":[{"package":{"ecosystem":"PyPI","name":"x"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"2"},{"fixed":"3"}]}],"versions":["1.0","2.0"]}]}`},
		sbom.Distro{}, "pkg:pypi/x@1.0", []string{"PYSEC-1 affected 3"}},
	{"no word about versions", []string{`{"id":"GHSA-a","modified":"2026-01-01T00:00:00Z","affected":[{"package":{"ecosystem":"npm","name":"x"},"ranges":[{"type":"GIT","repo":"https://a.example/x","events":[{"introduced":"0"}]}]}]}`}, sbom.Distro{}, "pkg:npm/x@1.0.0",
		[]string{"GHSA-a unknown"}},
	{"bounds that are no versions", []string{record("DSA-1", "Debian:12", "x", "introduced=0 fixed=a:b:c")}, debian12, "pkg:deb/debian/x@1.0?distro=debian-12", []string{"DSA-1 unknown"}},
	{"the package URL alone", []string{`{"id":"GHSA-a","modified":"2026-01-01T00:00:00Z","affected":[{"package":{"purl":"pkg:npm/x"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"2.0.0"}]}]}]}`}, sbom.Distro{}, "pkg:npm/x@1.0.0", []string{"GHSA-a affected 2.0.0"}},
	{"withdrawn", []string{record("GHSA-a", "npm", "x", "introduced=0", `"withdrawn":"2026-01-03T00:00:00Z"`)}, sbom.Distro{}, "pkg:npm/x@1.0.0", nothing},
	{"a name of another ecosystem", []string{record("GHSA-a", "PyPI", "x", "introduced=0")}, sbom.Distro{}, "pkg:npm/x@1.0.0", nothing},
}

var distributions = []lookup{
	{"Debian, by source", []string{record("DEBIAN-CVE-2024-5535", "Debian:12", "openssl", "introduced=0 fixed=3.0.14-1~deb12u1", `"upstream":["CVE-2024-5535"]`)}, debian12,
		"pkg:deb/debian/libssl3@3.0.13-1~deb12u1?arch=amd64&distro=debian-12&upstream=openssl source=openssl", []string{"CVE-2024-5535 affected 3.0.14-1~deb12u1"}},
	{"Debian, a source of another version", []string{record("DEBIAN-CVE-2024-1111", "Debian:12", "gcc-12", "introduced=0 fixed=12.2.0-14")}, debian12,
		"pkg:deb/debian/libgcc-s1@13.1-1?distro=debian-12&upstream=gcc-12%4012.2.0-13 source=gcc-12@12.2.0-13", []string{"CVE-2024-1111 affected 12.2.0-14"}},
	{"Debian, a binary that is named as another source", []string{record("DEBIAN-CVE-2024-1111", "Debian:12", "foo", "introduced=0")}, debian12, "pkg:deb/debian/foo@1.0?distro=debian-12 source=foo-tools", nothing},
	{"Debian, another release", []string{record("DEBIAN-CVE-2024-1111", "Debian:11", "openssl", "introduced=0")}, debian12, "pkg:deb/debian/openssl@1.0?distro=debian-12", nothing},
	{"Debian, a code name", []string{record("DEBIAN-CVE-2024-1111", "Debian:12", "openssl", "introduced=0")}, noRelease, "pkg:deb/debian/openssl@1.0?distro=bookworm", []string{"CVE-2024-1111 affected"}},
	{"Debian, no release, all affected", []string{record("DEBIAN-CVE-2024-1111", "Debian:11", "x", "introduced=0"), record("DEBIAN-CVE-2024-2222", "Debian:11", "x", "introduced=0 fixed=0.5")}, noRelease, "pkg:deb/debian/x@1.0", []string{"CVE-2024-1111 affected"}},
	{"Debian, no release, some affected", []string{record("DEBIAN-CVE-2024-1111", "Debian:11", "x", "introduced=0"), record("DEBIAN-CVE-2024-2222", "Debian:12", "x", "introduced=0 fixed=0.5")}, noRelease, "pkg:deb/debian/x@1.0", []string{"CVE-2024-1111 unknown"}},
	{"Debian, about several", []string{record("DSA-5000-1", "Debian:12", "x", "introduced=0 fixed=2", `"upstream":["CVE-2024-1001","CVE-2024-1002"]`), record("DEBIAN-CVE-2024-1001", "Debian:12", "x", "introduced=0 fixed=2", `"upstream":["CVE-2024-1001"]`)},
		debian12, "pkg:deb/debian/x@1.0?distro=debian-12", []string{"CVE-2024-1001 affected 2", "CVE-2024-1002 affected 2"}},
	{"Ubuntu", []string{record("UBUNTU-CVE-2024-1111", "Ubuntu:22.04:LTS", "openssl", "introduced=0 fixed=3.0.2-0ubuntu1.15")}, sbom.Distro{ID: "ubuntu", Version: "22.04"}, "pkg:deb/ubuntu/libssl3@3.0.2-0ubuntu1.14?distro=ubuntu-22.04 source=openssl",
		[]string{"CVE-2024-1111 affected 3.0.2-0ubuntu1.15"}},
	{"Ubuntu, for subscribers", []string{record("UBUNTU-CVE-2024-1111", "Ubuntu:Pro:16.04:LTS", "openssl", "introduced=0 fixed=1.0.2g-1ubuntu4.20+esm3")}, sbom.Distro{ID: "ubuntu", Version: "16.04"}, "pkg:deb/ubuntu/openssl@1.0.2g-1ubuntu4.20?distro=ubuntu-16.04",
		[]string{"CVE-2024-1111 affected 1.0.2g-1ubuntu4.20+esm3"}},
	{"Ubuntu, fixed for subscribers alone", []string{ubuntuBoth}, sbom.Distro{ID: "ubuntu", Version: "22.04"}, "pkg:deb/ubuntu/vips@8.12.1-1?distro=ubuntu-22.04", []string{"CVE-2024-1111 affected 8.12.1-1ubuntu0.1~esm1"}},
	{"Ubuntu, a subscriber's", []string{ubuntuBoth}, sbom.Distro{ID: "ubuntu", Version: "22.04"}, "pkg:deb/ubuntu/vips@8.12.1-1ubuntu0.1~esm1?distro=ubuntu-22.04", nothing},
	{"Ubuntu, a subscriber's that is old", []string{ubuntuBoth}, sbom.Distro{ID: "ubuntu", Version: "22.04"}, "pkg:deb/ubuntu/vips@8.12.1-1~esm0?distro=ubuntu-22.04", []string{"CVE-2024-1111 affected 8.12.1-1ubuntu0.1~esm1"}},
	{"Ubuntu, builds for certification", []string{record("UBUNTU-CVE-2024-1111", "Ubuntu:Pro:FIPS:22.04:LTS", "openssl", "introduced=0")}, sbom.Distro{ID: "ubuntu", Version: "22.04"}, "pkg:deb/ubuntu/openssl@3.0?distro=ubuntu-22.04", nothing},
	{"Alpine", []string{record("ALPINE-CVE-2024-1111", "Alpine:v3.20", "openssl", "introduced=0 fixed=3.3.1-r0")}, sbom.Distro{ID: "alpine", Version: "3.20.3"}, "pkg:apk/alpine/libcrypto3@3.3.0-r2?distro=alpine-3.20.3&upstream=openssl source=openssl",
		[]string{"CVE-2024-1111 affected 3.3.1-r0"}},
	{"Alpine, fixed", []string{record("ALPINE-CVE-2024-1111", "Alpine:v3.20", "openssl", "introduced=0 fixed=3.3.1-r0")}, sbom.Distro{ID: "alpine", Version: "3.20.3"}, "pkg:apk/alpine/libcrypto3@3.3.1-r0?distro=alpine-3.20.3 source=openssl", nothing},
	{"Wolfi", []string{record("CGA-1", "Wolfi", "glibc", "introduced=0 fixed=2.39-r5", `"aliases":["CVE-2024-2961"]`)}, sbom.Distro{ID: "wolfi", Version: "20230201"}, "pkg:apk/wolfi/ld-linux@2.39-r4?distro=wolfi-20230201 source=glibc", []string{"CVE-2024-2961 affected 2.39-r5"}},
	{"Chainguard", []string{record("CGA-1", "Chainguard", "glibc", "introduced=0 fixed=2.39-r5")}, sbom.Distro{ID: "chainguard", Version: "20230214"}, "pkg:apk/chainguard/glibc@2.39-r4", []string{"CGA-1 affected 2.39-r5"}},
	{"Rocky Linux", []string{record("RLSA-2024:1", "Rocky Linux:9", "openssl", "introduced=0 fixed=1:3.0.7-27.el9", `"related":["CVE-2023-5678"]`)}, sbom.Distro{ID: "rocky", Version: "9.3"},
		"pkg:rpm/rocky/openssl-libs@3.0.7-24.el9?arch=x86_64&distro=rocky-9.3&epoch=1&upstream=openssl-3.0.7-24.el9.src.rpm source=openssl@3.0.7-24.el9", []string{"CVE-2023-5678 affected 1:3.0.7-27.el9"}},
	{"AlmaLinux, by binary", []string{record("ALSA-2024:1", "AlmaLinux:9", "openssl-libs", "introduced=0 fixed=1:3.0.7-27.el9")}, sbom.Distro{ID: "almalinux", Version: "9.3"},
		"pkg:rpm/almalinux/openssl-libs@3.0.7-24.el9?epoch=1&distro=almalinux-9.3 source=openssl@3.0.7-24.el9", []string{"ALSA-2024:1 affected 1:3.0.7-27.el9"}},
	{"Red Hat", []string{record("RHSA-2024:1", "Red Hat:enterprise_linux:9::baseos", "openssl-libs", "introduced=0 fixed=1:3.0.7-27.el9")}, sbom.Distro{ID: "rhel", Version: "9.4"}, "pkg:rpm/redhat/openssl-libs@3.0.7-24.el9?epoch=1&distro=rhel-9.4", []string{"RHSA-2024:1 affected 1:3.0.7-27.el9"}},
	{"Red Hat, extended updates", []string{record("RHSA-2024:1", "Red Hat:rhel_eus:9.2::baseos", "openssl-libs", "introduced=0")}, sbom.Distro{ID: "rhel", Version: "9.4"}, "pkg:rpm/redhat/openssl-libs@3.0.7-24.el9?epoch=1&distro=rhel-9.4", nothing},
	{"SUSE", []string{record("SUSE-SU-2024:1", "SUSE:Linux Enterprise Module for Basesystem 15 SP5", "openssl-1_1", "introduced=0 fixed=1.1.1l-150500.17.25.1", `"upstream":["CVE-2023-5678"]`)}, sbom.Distro{ID: "sles", Version: "15.5"},
		"pkg:rpm/suse/libopenssl1_1@1.1.1l-150500.17.22.1?distro=sles-15.5 source=openssl-1_1@1.1.1l-150500.17.22.1", []string{"CVE-2023-5678 affected 1.1.1l-150500.17.25.1"}},
	{"openSUSE", []string{record("openSUSE-SU-2024:1", "openSUSE:Leap 15.6", "git", "introduced=0 fixed=2.43.0-150600.3.3.1")}, sbom.Distro{ID: "opensuse-leap", Version: "15.6"}, "pkg:rpm/opensuse/git@2.43.0-150600.1.1?distro=opensuse-leap-15.6", []string{"openSUSE-SU-2024:1 affected 2.43.0-150600.3.3.1"}},
	{"Amazon Linux", []string{record("ALAS2023-2024-1", "Amazon Linux:2023", "curl", "introduced=0 fixed=8.5.0-1.amzn2023.0.2")}, sbom.Distro{ID: "amzn", Version: "2023"}, "pkg:rpm/amzn/curl@8.5.0-1.amzn2023.0.1?distro=amzn-2023", []string{"ALAS2023-2024-1 affected 8.5.0-1.amzn2023.0.2"}},
	{"Azure Linux by its earlier name", []string{record("AZL-1", "CBL-Mariner:2", "curl", "introduced=0 fixed=8.5.0-2.cm2")}, sbom.Distro{ID: "mariner", Version: "2.0"}, "pkg:rpm/mariner/curl@8.5.0-1.cm2?distro=mariner-2.0", []string{"AZL-1 affected 8.5.0-2.cm2"}},
}

func TestMatching(t *testing.T) {
	for _, c := range slices.Concat(languages, distributions) {
		t.Run(c.name, func(t *testing.T) {
			k := newKit(t, mem.NewKV())
			app := image("acme/app", 1)
			k.put(app, c.distro, c.purl)
			k.load("osv", c.records...)
			same(t, "matched while it is read", found(k.report(app)), c.want)
			k.match()
			same(t, "matched when it was new", found(k.report(app)), c.want)
			k.load("osv", record("GHSA-other", "npm", "other", "introduced=0"))
			same(t, "with another database", found(k.report(app)), nothing)
			k.load("osv", c.records...)
			same(t, "matched by an import", found(k.report(app)), c.want)
			k.check()
		})
	}
}

// Records about the same vulnerability are one finding, whichever database they are in; severities are lent where a record has none.
func TestAliasesAreOneFinding(t *testing.T) {
	k := newKit(t, mem.NewKV())
	app := image("acme/app", 1)
	k.put(app, sbom.Distro{}, "pkg:pypi/x@1.0")
	k.match()
	k.load("ghsa", record("GHSA-a", "PyPI", "x", "introduced=0 fixed=1.1", `"aliases":["CVE-2024-1000"]`, `"database_specific":{"severity":"MODERATE"}`))
	k.load("pysec", record("PYSEC-1", "PyPI", "x", "introduced=0 fixed=1.2", `"aliases":["GHSA-a"]`), record("PYSEC-2", "PyPI", "x", "introduced=0", `"aliases":["CVE-2024-2000"]`))
	r := k.report(app)
	same(t, "findings", found(r), []string{"CVE-2024-1000 affected 1.1", "CVE-2024-2000 affected"})
	same(t, "names", r.Findings[0].Aliases, []string{"GHSA-a", "PYSEC-1"})
	same(t, "advisories", r.Findings[0].Advisories, []finding.Reference{{Database: "ghsa", ID: "GHSA-a"}, {Database: "pysec", ID: "PYSEC-1"}})
	same(t, "severity", r.Findings[0].Severity, osv.Medium)
	same(t, "severity that nobody gave", r.Findings[1].Severity, osv.Unknown)

	d := k.load("cve", record("CVE-2024-2000", "GIT", "y", "introduced=0", `"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]`))
	same(t, "packages with a severity that is lent", len(d.Packages), 1)
	r = k.report(app)
	same(t, "worst first", []any{r.Findings[0].ID, r.Findings[0].Severity}, []any{"CVE-2024-2000", osv.Critical})
	k.check()
}

func TestSeverities(t *testing.T) {
	for _, c := range []struct {
		name, more string
		severity   osv.Severity
		score      float64
	}{
		{"CVSS 4", `"severity":[{"type":"CVSS_V4","score":"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"}]`, osv.Critical, 9.3},
		{"CVSS 3.1", `"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N"}]`, osv.Medium, 6.1},
		{"CVSS 3.0", `"severity":[{"type":"CVSS_V3","score":"CVSS:3.0/AV:L/AC:H/PR:H/UI:R/S:U/C:N/I:N/A:L"}]`, osv.Low, 1.8},
		{"CVSS 2", `"severity":[{"type":"CVSS_V2","score":"AV:N/AC:L/Au:N/C:C/I:C/A:C"}]`, osv.High, 10},
		{"the newest version", `"severity":[{"type":"CVSS_V2","score":"AV:N/AC:L/Au:N/C:C/I:C/A:C"},{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N"}]`, osv.Medium, 6.1},
		{"no vector", `"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:X"}]`, osv.Unknown, 0},
		{"a word", `"database_specific":{"severity":"HIGH","Severity":3,"cwe_ids":["CWE-1"]}`, osv.High, 0},
		{"no word", `"database_specific":{"severity":["HIGH"]}`, osv.Unknown, 0},
		{"Ubuntu's word before a vector", `"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"},{"type":"Ubuntu","score":"negligible"}]`, osv.Negligible, 9.8},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := osv.ParseAdvisory([]byte(record("GHSA-a", "npm", "x", "introduced=0", c.more)))
			if err != nil {
				t.Fatal(err)
			}
			same(t, "severity", []any{a.Severity, a.Score}, []any{c.severity, c.score})
		})
	}
	urgent := `{"id":"DEBIAN-CVE-2024-1000","modified":"2026-01-01T00:00:00Z","affected":[{"package":{"ecosystem":"Debian:12","name":"x"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}],"ecosystem_specific":{"urgency":"unimportant"}}]}`
	k := newKit(t, mem.NewKV())
	k.put(image("a", 1), debian12, "pkg:deb/debian/x@1?distro=debian-12")
	k.load("osv", urgent)
	k.put(image("u", 2), sbom.Distro{ID: "ubuntu", Version: "16.04"}, "pkg:deb/ubuntu/x@1?distro=ubuntu-16.04")
	k.load("pro", record("UBUNTU-CVE-2024-1", "Ubuntu:Pro:16.04:LTS", "y", "introduced=0"))
	same(t, "a release that subscribers alone have", k.report(image("u", 2)).Uncovered, nothing)
	same(t, "unimportant", k.report(image("a", 1)).Findings[0].Severity, osv.Negligible)
}

func TestUncovered(t *testing.T) {
	k := newKit(t, mem.NewKV())
	k.put(image("a", 1), sbom.Distro{ID: "debian", Version: "9"}, "pkg:deb/debian/x@1?distro=debian-9", "pkg:npm/x@1", "pkg:conan/x@1", "pkg:generic/x@1")
	k.load("osv", record("GHSA-a", "npm", "other", "introduced=0"), record("DSA-1", "Debian:12", "other", "introduced=0"))
	same(t, "what nobody speaks of", k.report(image("a", 1)).Uncovered, []string{"ConanCenter", "Debian:9", "generic"})
	same(t, "systems that nobody speaks of", k.report(image("a", 1)).Systems, []string{"Debian:9"})
	same(t, "languages that nobody speaks of", k.report(image("a", 1)).Languages, []string{"ConanCenter"})
	k.put(image("b", 1), sbom.Distro{}, "pkg:apk/musl@1.2.5-r0", "pkg:deb/gentoo/x@1", "pkg:npm/x@1")
	same(t, "systems that nobody knows", k.report(image("b", 1)).Systems, []string{"apk", "deb"})
	k.view(func(r store.Records) error {
		report, err := vulns.Findings(r, image("none", 1))
		same(t, "an image without inventory", report == nil, true)
		return err
	})
}

// An image of npm packages is not clean because a database of Debian's is there: before its packages are matched ahead and after.
func TestLanguagesWithoutADatabaseAreCounted(t *testing.T) {
	k := newKit(t, mem.NewKV())
	k.load("debian", record("DSA-1", "Debian:12", "other", "introduced=0"))
	k.put(image("a", 1), debian12, "pkg:deb/debian/x@1?distro=debian-12", "pkg:npm/a@1", "pkg:npm/b@1", "pkg:pypi/c@1", "pkg:generic/d@1", "pkg:generic/e@1")
	for range 2 {
		r := k.report(image("a", 1))
		same(t, "uncovered", []any{r.Uncovered, r.Systems, r.Languages, r.Unlooked},
			[]any{[]string{"PyPI", "generic", "npm"}, nothing, []string{"PyPI", "npm"}, map[string]int{"PyPI": 1, "generic": 2, "npm": 2}})
		k.match()
	}
	k.load("npm", record("GHSA-1", "npm", "other", "introduced=0"))
	r := k.report(image("a", 1))
	same(t, "with a database of npm", []any{r.Languages, r.Unlooked}, []any{[]string{"PyPI"}, map[string]int{"PyPI": 1, "generic": 2}})
}

// Nobody writes advisories about a package of Maven without a group, for there is none: nothing found is no answer, whatever databases are there.
func TestNamesThatAreNoneAreUncovered(t *testing.T) {
	k := newKit(t, mem.NewKV())
	k.load("osv", record("GHSA-1", "Maven", "g:other", "introduced=0"), record("GHSA-2", "npm", "other", "introduced=0"), record("GHSA-3", "PyPI", "other", "introduced=0"), record("GHSA-4", "Go", "stdlib", "introduced=0 fixed=1.22.2"),
		record("GHSA-5", "Packagist", "a/other", "introduced=0"), record("GHSA-6", "SwiftURL", "github.com/a/other", "introduced=0"), record("GHSA-7", "GitHub Actions", "a/other", "introduced=0"), record("GHSA-8", "crates.io", "other", "introduced=0"),
		record("GHSA-9", "Maven", "sloppy", "introduced=0"))
	k.put(image("named", 1), sbom.Distro{}, "pkg:maven/g/a@1", "pkg:maven/g%3Ab@1", "pkg:npm/a@1", "pkg:npm/%40s/a@1", "pkg:npm/s/b@1", "pkg:pypi/a@1", "pkg:golang/example.com/a@v1.0.0", "pkg:golang/own@(devel)", "pkg:golang/std@go1.22.1",
		"pkg:composer/v/a@1", "pkg:swift/github.com/a/b@1", "pkg:github/a/b@v1", "pkg:cargo/a@1")
	k.put(image("unnamed", 2), sbom.Distro{}, "pkg:maven/log4j-core@2.14.1", "pkg:maven/sloppy@1", "pkg:maven/org/apache/x@1", "pkg:npm/%40scope@1", "pkg:npm/%40s/t/a@1", "pkg:pypi/a/b@1", "pkg:composer/a@1", "pkg:swift/a@1", "pkg:github/a@v1", "pkg:cargo/a/b@1")
	for range 2 {
		same(t, "what is named", []any{k.report(image("named", 1)).Unlooked, found(k.report(image("named", 1)))}, []any{"map[]", "[GHSA-4 affected 1.22.2]"})
		r := k.report(image("unnamed", 2))
		same(t, "what is not", r.Unlooked, "map[GitHub Actions:unnamed:1 Maven:unnamed:3 Packagist:unnamed:1 PyPI:unnamed:1 SwiftURL:unnamed:1 crates.io:unnamed:1 npm:unnamed:2]")
		same(t, "of languages", []any{len(r.Languages), r.Systems, found(r)}, []any{7, nothing, "[GHSA-9 affected]"})
		k.match()
	}
	k.check()
}

// A database that was merged of several sources is as old as the one that speaks of an image's packages.
func TestTheAgeIsThatOfTheSourceThatSpeaksOfThePackages(t *testing.T) {
	k := newKit(t, mem.NewKV())
	k.put(image("npm", 1), sbom.Distro{}, "pkg:npm/a@1")
	k.put(image("debian", 1), debian12, "pkg:deb/debian/x@1?distro=debian-12")
	k.put(image("both", 1), debian12, "pkg:deb/debian/x@1?distro=debian-12", "pkg:npm/a@1")
	k.put(image("none", 1), sbom.Distro{}, "pkg:generic/a@1")
	merged := func(built, npm time.Time, records ...string) vulns.Delta {
		d, err := k.x.Import(k.ctx, vulns.Info{Name: "main", Built: built, MayShrink: true, Sources: []vulns.Source{
			{Name: "debian.zip", Built: built, Ecosystems: []string{"Debian:13", "Debian:12"}}, {Name: "npm.zip", Built: npm, Ecosystems: []string{"npm"}},
		}}, zipped(t, records...))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	records := []string{record("DSA-1", "Debian:12", "other", "introduced=0"), record("GHSA-1", "npm", "other", "introduced=0")}
	young, old := day.AddDate(0, 0, 30), day.AddDate(-1, 0, 0)
	merged(young, old, records...)
	for range 2 {
		for name, at := range map[string]time.Time{"npm": old, "debian": young, "both": old, "none": old} {
			same(t, name, k.report(image(name, 1)).DBTime(), at)
		}
		k.match()
	}
	k.load("other", record("PYSEC-1", "PyPI", "other", "introduced=0")) // younger than old, and about neither
	same(t, "beside another", []any{k.report(image("npm", 1)).DBTime(), k.report(image("debian", 1)).DBTime()}, []any{old, young})
	same(t, "the same, from younger sources", merged(young.AddDate(0, 0, 1), young, records...).Narrowed, false)
	same(t, "the time of it", k.report(image("both", 1)).DBTime(), young)
	same(t, "from an older source", merged(young.AddDate(0, 0, 2), old, records...).Narrowed, true)
	same(t, "with less", merged(young.AddDate(0, 0, 3), old, records[0]).Narrowed, true)
	k.view(func(r store.Records) error {
		s, err := vulns.Status(r)
		same(t, "the oldest file", s.Databases[0].Oldest(), old)
		return err
	})
	d, err := k.x.Remove(k.ctx, "main")
	same(t, "removed", []any{d.Narrowed, err}, []any{true, nil})
	k.told = nil
	if _, err := k.x.Deliver(k.ctx); err != nil {
		t.Fatal(err)
	}
	same(t, "told at last", k.told[len(k.told)-1].Narrowed, true)
	k.check()
}
