package ecosystem_test

import (
	"testing"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/ecosystem"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/osv"
)

// What an advisory says of a package and a package itself find each other, however either is written; what is of another release does not.
func TestAdvisoriesAndPackagesMeet(t *testing.T) {
	for _, c := range []struct {
		ecosystem, name string
		version         index.PackageVersion
		meet            bool
	}{
		{"npm", "Lodash", index.PackageVersion{PURL: "pkg:npm/lodash@1"}, true},
		{"npm", "@acme/x", index.PackageVersion{PURL: "pkg:npm/%40acme/x@1"}, true},
		{"PyPI", "Zope_Interface", index.PackageVersion{PURL: "pkg:pypi/zope.interface@1"}, true},
		{"Maven", "org.acme:x", index.PackageVersion{PURL: "pkg:maven/org.acme/x@1"}, true},
		{"Debian:bookworm", "openssl", index.PackageVersion{PURL: "pkg:deb/debian/libssl3@3?distro=debian-12", Source: "openssl"}, true},
		{"Debian:11", "openssl", index.PackageVersion{PURL: "pkg:deb/debian/libssl3@3?distro=debian-12", Source: "openssl"}, false},
		{"Debian:12", "libssl3", index.PackageVersion{PURL: "pkg:deb/debian/libssl3@3?distro=debian-12", Source: "openssl"}, false},
		{"Red Hat:enterprise_linux:9::appstream", "openssl-libs", index.PackageVersion{PURL: "pkg:rpm/redhat/openssl-libs@3", Source: "openssl", Distro: sbom.Distro{ID: "rhel", Version: "9.4"}}, true},
		{"Red Hat:rhel_eus:9.2::baseos", "openssl", index.PackageVersion{PURL: "pkg:rpm/redhat/openssl@3", Distro: sbom.Distro{ID: "rhel", Version: "9.2"}}, false},
		{"npm", "x", index.PackageVersion{PURL: "pkg:generic/x@1"}, false},
		{"nowhere", "x", index.PackageVersion{PURL: "pkg:npm/x@1"}, false},
	} {
		key, release, ok := ecosystem.Placed(&osv.AffectedPackage{Ecosystem: c.ecosystem, Name: c.name})
		met := false
		for _, s := range ecosystem.SoughtFor(&c.version) {
			met = met || ok && s.Key == key && (s.Release == release || release == ecosystem.AnyRelease)
		}
		if met != c.meet {
			t.Errorf("%s %s and %s: %v, %+v at %q", c.ecosystem, c.name, c.version.PURL, met, key, release)
		}
	}
}
