package vulns_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/assay-registry/assay/sbom/vulns"
)

// naiveGroups spreads the lowest place of each group until nothing changes.
func naiveGroups(names [][]string) (groups [][]int) {
	lowest := make([]int, len(names))
	for n := range lowest {
		lowest[n] = n
	}
	for changed := true; changed; {
		changed = false
		for a := range names {
			for b := range names {
				if lowest[a] != lowest[b] && slices.ContainsFunc(names[a], func(s string) bool { return slices.Contains(names[b], s) }) {
					lowest[a] = min(lowest[a], lowest[b])
					lowest[b], changed = lowest[a], true
				}
			}
		}
	}
	for n := range names {
		var group []int
		for m, low := range lowest {
			if low == n {
				group = append(group, m)
			}
		}
		if group != nil {
			groups = append(groups, group)
		}
	}
	return groups
}

func TestGroupsShareIdentifiers(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 1))
	for range 500 {
		names := make([][]string, 1+rnd.IntN(12))
		for n := range names {
			for range 1 + rnd.IntN(3) {
				names[n] = append(names[n], fmt.Sprint(rnd.IntN(16)))
			}
		}
		same(t, fmt.Sprint(names), vulns.Grouped(names), naiveGroups(names))
	}
}

// Records can be written of which each joins two that were apart, so that one leads to the next: that takes time by their number, and not by its square, which would be hours.
func TestGroupsOfAChainAreNearLinear(t *testing.T) {
	const n = 1 << 19
	var names [][]string
	for i := range n {
		names = append(names, []string{fmt.Sprint(i)})
	}
	for i := n - 1; i > 0; i-- {
		names = append(names, []string{names[i][0], names[i-1][0]})
	}
	if groups := vulns.Grouped(names); len(groups) != 1 || len(groups[0]) != 2*n-1 {
		t.Errorf("%d groups", len(groups))
	}
}
