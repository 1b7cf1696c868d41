package engine

import (
	"maps"
	"slices"
	"testing"

	"github.com/assay-registry/assay/policies"
	"github.com/open-policy-agent/opa/v1/cover"
)

// leastCoverage is how much of the shipped policies and their library their Rego tests reach, in per cent of the lines that can be.
const leastCoverage = 95

// TestCoverage counts the lines that the Rego tests of each shipped policy reach, as OPA counts them; the library's by all of them and its own.
func TestCoverage(t *testing.T) {
	library := map[int]bool{}
	reached, missed := 0, 0
	count := func(file string, r *cover.FileReport) {
		lines := map[int]bool{}
		for _, c := range r.Covered {
			for row := c.Start.Row; row <= c.End.Row; row++ {
				lines[row] = true
			}
		}
		for _, c := range r.NotCovered {
			for row := c.Start.Row; row <= c.End.Row; row++ {
				lines[row] = lines[row] && file == libraryFile
			}
		}
		if file == libraryFile {
			for row, ok := range lines {
				library[row] = library[row] || ok
			}
			return
		}
		var not []int
		for _, row := range slices.Sorted(maps.Keys(lines)) {
			if lines[row] {
				reached++
			} else {
				missed, not = missed+1, append(not, row)
			}
		}
		if len(not)*100 > len(lines)*(100-leastCoverage) {
			t.Errorf("%s: %d of %d lines are not reached: %v", file, len(not), len(lines), not)
		} else if len(not) > 0 {
			t.Logf("%s: %v", file, not)
		}
	}
	for _, name := range policies.Names() {
		files := shipped(t, name)
		reports := coverageOf(t, files)
		count(name+".rego", reports[name+".rego"])
		if r := reports[libraryFile]; r != nil {
			count(libraryFile, r)
		}
	}
	b, err := policies.FS.ReadFile("lib/lib_test.rego")
	if err != nil {
		t.Fatal(err)
	}
	user := "package assay\n\nimport data.assay.lib\n\nadmit.deny contains {\"code\": \"a.b\", \"msg\": \"no\"} if not lib.signed_by({})\n"
	count(libraryFile, coverageOf(t, map[string]string{"p.rego": user, "lib_test.rego": string(b)})[libraryFile])
	var not []int
	for _, row := range slices.Sorted(maps.Keys(library)) {
		if library[row] {
			reached++
		} else {
			missed, not = missed+1, append(not, row)
		}
	}
	if len(not)*100 > len(library)*(100-leastCoverage) {
		t.Errorf("the library: %d of %d lines are not reached: %v", len(not), len(library), not)
	}
	t.Logf("%d of %d lines are reached", reached, reached+missed)
}

func coverageOf(t *testing.T, files map[string]string) map[string]*cover.FileReport {
	t.Helper()
	c := cover.New()
	results, modules, err := regoTests(t.Context(), files, c)
	if err != nil || len(results) == 0 {
		t.Fatal(results, err)
	}
	for _, r := range results {
		if !r.Pass {
			t.Errorf("%s: %s", r.File, r.Name)
		}
	}
	return c.Report(modules).Files
}
