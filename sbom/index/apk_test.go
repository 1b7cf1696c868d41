package index_test

import (
	"testing"

	"github.com/assay-registry/assay/sbom/index"
)

// How apk orders versions (apk-tools 3, apk_version_compare): by tokens, of which no more is different from a zero, and before all that follows but what comes before a release.
func TestAPKOrdersByTokens(t *testing.T) {
	for _, list := range [][]string{
		{"1", "1-r0", "1_p", "1a", "1.0", "1.0.0", "1.0.0.0"},
		{"1.0_alpha", "1.0", "1.0~ab", "1.0_cvs", "1.0.0"},
		{"1.0_alpha_pre2", "1.0_alpha", "1.0_alpha-r1", "1.0_alpha1", "1.0_beta", "1.0_pre", "1.0_rc", "1.0_rc_p1", "1.0", "1.0-r0", "1.0-r1", "1.0_cvs", "1.0_svn", "1.0_git", "1.0_hg", "1.0_p", "1.0_p0", "1.0_p9", "1.0_p10", "1.0a", "1.0b"},
		{"1.00", "1.01", "1.010", "1.1", "1.2", "1.10"},
		{"1.0~0a", "1.0~1a", "1.0~ff"},
		{"6b-r7", "6c", "6.0"},
		{"9", "010", "11", "99999999999999999999", "100000000000000000000"},
	} {
		for i, a := range list {
			for j, b := range list {
				want := 0
				if i < j {
					want = -1
				} else if i > j {
					want = 1
				}
				if n, err := index.Compare("Alpine", a, b); err != nil || n != want {
					t.Errorf("%s and %s: %d, want %d (%v)", a, b, n, want, err)
				}
			}
		}
	}
	for _, same := range [][2]string{{"01.2", "1.2"}, {"1.0_p01", "1.0_p1"}, {"1.0-r01", "1.0-r1"}} {
		if n, err := index.Compare("Alpine", same[0], same[1]); err != nil || n != 0 {
			t.Errorf("%q: %d %v", same, n, err)
		}
	}
}
