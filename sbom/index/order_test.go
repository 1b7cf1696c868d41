package index_test

import (
	"testing"

	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/store"
)

// Examples of the ecosystems' own rules, in order: each is before the next.
func TestVersionsAreInOrder(t *testing.T) {
	for ecosystem, list := range map[string][]string{
		"Debian":     {"0.9", "1.0~~", "1.0~rc1", "1.0", "1.0-1", "1.0-1+b1", "1.0+dfsg-1", "1.0.1", "1.10", "1:0.1"},
		"Red Hat":    {"1.0~rc1-1", "1.0-1", "1.0^20240101-1", "1.0.1-1", "1.9-1", "1.10-1", "1:0.1-1"},
		"Arch Linux": {"1.0a-1", "1.0b-1", "1.0beta-1", "1.0p-1", "1.0pre-1", "1.0rc-1", "1.0-1", "1.0.a-1", "1.0.1-1", "1:0.1-1"},
		"Alpine":     {"1.0_alpha1", "1.0_rc1", "1.0", "1.0-r1", "1.0_p1", "1.0a", "1.01", "1.1", "1.10"},
		"PyPI":       {"1.0.dev1", "1.0a1", "1.0a1.post1", "1.0b1", "1.0rc1", "1.0", "1.0+local.9", "1.0+local.10", "1.0.post1", "1.0.1", "1!0.1"},
		"Maven":      {"1.0-alpha-1", "1.0.alpha2", "1.0-beta-1", "1.0.b2", "1.0-rc1", "1.0.RC2", "1.0-CR3", "1.0-SNAPSHOT", "1.0", "1.0-sp", "1.0-foo2", "1.0.foo10", "1.0-1", "1.0.1", "1.10"},
		"RubyGems":   {"1.0.a1", "1.0-rc1", "1.0.rc1", "1.0", "1.0.1", "1.10"},
		"NuGet":      {"1.0.0-alpha", "1.0.0-alpha.2", "1.0.0-alpha.10", "1.0.0", "1.0.0.1", "1.0.1"},
		"npm":        {"1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0", "1.0.99999999999999999999"},
		"Packagist":  {"1.0.0-dev", "1.0.0-alpha1", "1.0.0-beta2", "1.0.0-RC1", "1.0.0", "1.0.0-p1", "1.0.1", "1.10"},
		"Julia":      {"1.0.0-rc1", "1.0.0", "1.0.0+0", "1.0.0+9", "1.0.0+10", "1.0.1"},
	} {
		for i := range len(list) - 1 {
			for _, j := range []int{i, i + 1, len(list) - 1} {
				want := 0
				if i < j {
					want = -1
				}
				if n, err := index.Compare(ecosystem, list[i], list[j]); err != nil || n != want {
					t.Errorf("%s: %s and %s: %d, %v", ecosystem, list[i], list[j], n, err)
				}
				if n, err := index.Compare(ecosystem, list[j], list[i]); err != nil || n != -want {
					t.Errorf("%s: %s and %s: %d, %v", ecosystem, list[j], list[i], n, err)
				}
			}
		}
	}
	for _, c := range []struct{ ecosystem, a, b string }{
		{"Packagist", "v1.2", "1.2.0.0"}, {"Packagist", "1.0-stable", "1.0"}, {"PyPI", "1.0", "1.0.0"}, {"PyPI", "1.0-RC.1", "1.0rc1"}, {"npm", "V1.2.3", "1.2.3+build"}, {"Maven", "1.0.Final", "1"}, {"Maven", "2.0.0.RC1", "2-rc-1"}, {"Maven", "5.3.0.RELEASE", "5.3"}, {"Maven", "1-1.foo-bar1baz-.1", "1-1-foo-bar-1-baz-0.1"},
		{"RubyGems", "1.0", "1.0.0"}, {"Red Hat", "1.0-1", "0:1.0-1"}, {"Debian", "1.0", "0:1.0-0"},
	} {
		if n, err := index.Compare(c.ecosystem, c.a, c.b); n != 0 || err != nil {
			t.Errorf("%s: %s and %s: %d, %v", c.ecosystem, c.a, c.b, n, err)
		}
	}
}

// What is no version has no place among them.
func TestWhatIsNoVersion(t *testing.T) {
	for ecosystem, list := range map[string][]string{
		"PyPI": {"0.1.43ubuntu1.1", "1.0-custom.build", "2004d", "unknown"}, "npm": {"1.2.3.4", "1.2.3beta", "file:../x", "latest"}, "Go": {"(devel)", "1.21 X:boringcrypto"},
		"NuGet": {"1.2.3.4.5", "6,0,21,0"}, "Packagist": {"dev-master", "dev-php8", "2.x-dev", "1.2.3.4.5"}, "RubyGems": {"a.1", "1..2"}, "Alpine": {"1.0-custom", "1.0-r", "1.0_foo1"},
		"ConanCenter": {"1.1.1t", "cci.20230101"}, "Debian": {"a:1.0"}, "CRAN": {"1.0a"},
	} {
		for _, v := range list {
			if _, err := index.ParseVersion(ecosystem, v); store.CodeOf(err) != store.CodeInvalid {
				t.Errorf("%s %s: %v", ecosystem, v, err)
			}
		}
	}
}
