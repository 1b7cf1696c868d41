package licences

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/assay-registry/assay/policy/wanted"
	"github.com/assay-registry/assay/sbom"
)

// countedOut judges an expression by its alternatives, counted out.
func countedOut(r *ruleSet, expression string) int {
	alternatives, err := parse(expression)
	if err != nil || !strings.ContainsAny(expression, separators) {
		alternatives = [][]string{sbom.Identifiers(expression)}
		if len(alternatives[0]) == 0 || !strings.ContainsAny(expression, separators) {
			alternatives = [][]string{{expression}}
		}
	}
	found := denied
	for _, together := range alternatives {
		worst := fine
		for _, name := range together {
			worst = max(worst, r.one(name).what)
		}
		found = min(found, worst)
	}
	return found
}

// TestLicenceExpressions: an expression is judged as its alternatives are, whoever judges beside, and whether it is known or not.
func TestLicenceExpressions(t *testing.T) {
	known := &Memory{}
	var all []*ruleSet
	for _, s := range []string{`{"denied": ["GPL-*", "mit/*"], "denied_categories": ["network"]}`, `{"allowed": ["MIT", "apache-*"], "denied_categories": ["copyleft"]}`, `{"allowed_categories": ["permissive", "weak"]}`, `{}`} {
		rules := ast.MustParseTerm(s)
		fresh, err := readRules(rules)
		if err != nil {
			t.Fatal(err)
		}
		remembering, err := known.rulesOf(rules)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fresh, remembering)
	}
	words := []string{"MIT", "GPL-2.0-only", "GPL-2.0-or-later WITH Classpath-exception-2.0", "AGPL-3.0-only", "LicenseRef-x", "lgpl-2.1+", "mit/x", "(", ")", "(", ")", "AND", "OR", "and", "or", "WITH", "AND", "OR", "AND", "OR", "ü\u00a0ü", "\x01", "", "a b", "\t"}
	var wg sync.WaitGroup
	for n := range uint64(4) {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(n, 1))
			for range 20_000 {
				var parts []string
				for range random.IntN(9) {
					parts = append(parts, words[random.IntN(len(words))])
				}
				expression := strings.Join(parts, []string{" ", " ", " ", "", "\n"}[random.IntN(5)])
				r := all[random.IntN(len(all))]
				if got, want := r.verdict(expression).what, countedOut(r, expression); got != want {
					t.Errorf("%q is %d, want %d", expression, got, want)
					return
				}
			}
		})
	}
	wg.Wait()
	r := all[0]
	for expression, want := range map[string]int{
		strings.Repeat("(MIT OR Zlib) AND ", 60) + "MIT":                                              fine, // offers more than can be counted out
		strings.Repeat("(MIT OR GPL-2.0-only) AND ", 60) + "GPL-2.0-only":                             denied,
		strings.Repeat("(", maxNesting) + "MIT" + strings.Repeat(")", maxNesting):                     fine,
		strings.Repeat("(MIT OR GPL-2.0-only) AND ", maxExpression) + "MIT":                           denied, // too long to be read: all that it names
		strings.Repeat("(", maxNesting+1) + "MIT OR GPL-2.0-only" + strings.Repeat(")", maxNesting+1): denied,
	} {
		if got := r.verdict(expression).what; got != want {
			t.Errorf("%.60s is %d, want %d", expression, got, want)
		}
	}
}

// TestVerdictsTakeTheirSteps: what is known takes as many steps as what is found out.
func TestVerdictsTakeTheirSteps(t *testing.T) {
	known, rules := &Memory{}, ast.MustParseTerm(`{"denied": ["`+strings.Repeat("**A", 40)+`*B*"]}`)
	list := make([]string, 800)
	for i := range list {
		list[i] = fmt.Sprintf("%s%d", strings.Repeat("a", 100), i)
	}
	for n := range 3 {
		j := judging{steps: wanted.MaxSteps}
		j.rules, _ = known.rulesOf(rules)
		var err error
		judged := 0
		for ; judged < len(list) && err == nil; judged++ {
			err = j.one(list[judged], 1)
		}
		if !errors.Is(err, wanted.ErrTooLong) || judged < 2 || judged == len(list) {
			t.Errorf("%d: %d were judged: %v, %d steps are left", n, judged, err, j.steps)
		}
	}
}
