package engine

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

// TestLicencesAreRemembered: what is read again is what it comes to, whoever reads beside, and there are never more places; what is long is not kept.
func TestLicencesAreRemembered(t *testing.T) {
	known := newLicences()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for n := range 4 * textPlaces {
				for _, expression := range []string{"MIT", "(Apache-2.0 AND MIT) OR Zlib", fmt.Sprintf("LicenseRef-%d WITH x OR MIT", n), "MIT AND", "", " ", "a b c", "lgpl-2.1+"} {
					if got, want := known.read(expression), readLicences(expression); !reflect.DeepEqual(got, want) {
						t.Errorf("%q: %v, want %v", expression, got, want)
					}
				}
			}
		})
	}
	wg.Wait()
	for _, large := range []string{strings.Repeat("x", longestRemembered+1), "(a OR b OR c) AND (a OR b OR c)"} {
		fresh := newLicences()
		if got, want := fresh.read(large), readLicences(large); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, want %v", large, got, want)
		}
		for i := range fresh.readings.list {
			if fresh.readings.list[i].Load() != nil {
				t.Errorf("%.40s is kept", large)
			}
		}
	}
}

// TestLicenceVerdictsAreRemembered: of each rules their own, and what is known takes as many steps as what is found out.
func TestLicenceVerdictsAreRemembered(t *testing.T) {
	s := one(t, `package assay

strict := {"denied": ["MIT*"], "allowed": []}

admit.deny contains {"code": "a.strict", "msg": "no"} if count(assay.licence.judge(input.sbom.packages.by_license, strict).value.denied) > 0

admit.deny contains {"code": "a.own", "msg": "no"} if count(assay.licence.judge(input.sbom.packages.by_license, {"denied": input.sbom.origins}).value.denied) > 0

admit.deny contains {"code": "a.none", "msg": "no"} if count(assay.licence.judge(input.sbom.packages.by_license, {}).value.denied) > 0
`, Options{})
	planAll(t, s)
	for range 3 {
		if got := codes(decide(t, s, manyLicences(10)).Deny); got != "a.strict" {
			t.Errorf("got %s", got)
		}
	}
	known, rules := newLicences(), ast.MustParseTerm(`{"denied": ["`+strings.Repeat("**A", 40)+`*B*"]}`)
	list := make([]string, 800)
	for i := range list {
		list[i] = fmt.Sprintf("%s%d", strings.Repeat("a", 100), i)
	}
	for n := range 3 {
		j := licenceJudging{known: known, steps: maxGlobSteps}
		j.rules, _ = known.rulesOf(rules)
		var err error
		judged := 0
		for ; judged < len(list) && err == nil; judged++ {
			err = j.one(list[judged], 1)
		}
		if !errors.Is(err, errTooLong) || judged < 2 || judged == len(list) {
			t.Errorf("%d: %d were judged: %v, %d steps are left", n, judged, err, j.steps)
		}
	}
}
