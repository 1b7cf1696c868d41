package triage

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/plan"
	"github.com/assay-registry/assay/policy/terms"
)

// TestReportsAreSortedAlike: findings are sorted to the same as they came, and as terms.
func TestReportsAreSortedAlike(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	e, err := terms.NewEncoder(reflect.TypeFor[contract.Input]())
	if err != nil {
		t.Fatal(err)
	}
	rules := []string{
		`{"severities": ["critical", "high"]}`, `{"severities": ["high", "low"], "vex": "respect"}`, `{"severities": ["high"], "vex": "respect", "vex_authorities": ["b", "a"], "fixable_only": true}`,
		`{"severities": ["high", "high\ufffd"], "grace_days": 20, "now": 1795305600000000000, "ignore": [{"id": "CVE-1", "package": "pkg:npm/*", "expires": "2027-01-01T00:00:00Z"}, {"id": "GHSA-1", "package": "**", "expires": "2027-01-01T00:00:00Z"}]}`,
	}
	sorted := func(findings *ast.Term, rule string) string {
		v, err := Sort(findings, ast.MustParseTerm(rule), nil)
		if err == nil {
			err = plan.Make(v)
		}
		if err != nil {
			return err.Error()
		}
		return v.String()
	}
	for n := range 4000 {
		in := &contract.Input{
			Attestations:    []contract.AttestationInput{{Summary: map[string]any{"top": oddReport(random)}}},
			Vulnerabilities: &contract.VulnerabilitiesInput{Top: oddFindings(random)},
		}
		whole, part := terms.NewInput(e, in), terms.NewInput(e, in)
		if err := whole.Make(func(name string) bool { return name == "attestations" || name == "vulnerabilities" }); err != nil {
			t.Fatal(err)
		}
		for _, path := range [][]*ast.Term{
			{ast.StringTerm("attestations"), ast.InternedTerm(0), ast.StringTerm("summary"), ast.StringTerm("top")}, {ast.StringTerm("vulnerabilities"), ast.StringTerm("top")},
		} {
			member, _ := whole.Made(terms.Text(path[0]))
			made := member[1]
			unread, err := part.Member(path[0])
			for _, key := range path[1:] {
				if err != nil || unread == nil {
					t.Fatal(key, err)
				}
				made = made.Get(key)
				unread, err = unread.Value.(*plan.Unread).Member(key)
			}
			if err != nil {
				t.Fatal(err)
			}
			rule := rules[random.IntN(len(rules))]
			if got, want := sorted(unread, rule), sorted(made, rule); got != want {
				t.Fatalf("%d: %v by %s:\ngot  %s\nwant %s", n, made, rule, got, want)
			}
		}
	}
}

// oddReport is a report that names findings, and what looks like some.
func oddReport(random *rand.Rand) []any {
	pick := func(list ...any) any { return list[random.IntN(len(list))] }
	object := func(members map[string][]any) map[string]any {
		m := map[string]any{}
		for name, values := range members {
			if v := pick(values...); v != "-" {
				m[name] = v
			}
		}
		return m
	}
	said := func() any {
		return pick(object(map[string][]any{"authority": {"a", "b", "", "a", "registry", "-", 1.0, nil}, "suppresses": {true, true, false, "yes", "-", nil}}), "said", object(map[string][]any{"authority": {"a", "b"}, "suppresses": {true}}))
	}
	list := []any{}
	for range random.IntN(6) {
		m := object(map[string][]any{"id": {"CVE-1", "CVE-2", "CVE-3", "", "-", 1.0, "CVE-\xff"}, "severity": {"high", "high", "high", "low", "-", "high\xff", 7.0}, "package": {"pkg:npm/a", "-", "pkg:npm/b", ""}, "fixed_in": {"-", "1", nil, "", 2.0},
			"published": {"-", "2026-11-01T00:00:00Z", "2026-11-20T00:00:00.5Z", "yesterday"}, "aliases": {"-", "-", []any{"GHSA-1"}, []any{1.0, "CVE-1"}, []string{"GHSA-1"}, "GHSA-1"}})
		if random.IntN(2) == 0 {
			m["statements"] = []any{said(), said()}[:random.IntN(3)]
		}
		list = append(list, pick(m, m, m, m, m, m, "none", nil, map[string]string{"severity": "high"}))
	}
	return list
}

// oddFindings are findings with what they rarely have.
func oddFindings(random *rand.Rand) []contract.VulnerabilityInput {
	pick := func(list ...string) string { return list[random.IntN(len(list))] }
	list := []contract.VulnerabilityInput{{ID: "CVE-1", Severity: "high"}}
	for range random.IntN(6) {
		f := contract.VulnerabilityInput{ID: pick("CVE-1", "CVE-2", "", strings.Repeat("\xff", random.IntN(2))), Severity: pick("high", "high", "low", "high\xff"), Package: pick("pkg:npm/a", ""), FixedIn: pick("", "1"),
			Published: pick("", "2026-11-01T00:00:00Z", "2026-11-20T00:00:00Z")}
		if random.IntN(2) == 0 {
			f.Aliases = []string{"GHSA-1", pick("CVE-1", "\xff")}
		}
		for range random.IntN(3) {
			f.Statements = append(f.Statements, contract.VEXInput{Authority: pick("a", "b", "", "registry", "a\xff"), Suppresses: random.IntN(2) == 0})
		}
		list = append(list, f)
	}
	return list
}
