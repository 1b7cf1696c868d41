package triage

import (
	"fmt"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/assay-registry/assay/policy/plan"
)

// sorted is what became of findings: the ids of those that are excused, new and left, the counts, and until when they are new.
func sorted(t *testing.T, findings, rules string) string {
	t.Helper()
	v, err := Sort(ast.MustParseTerm(findings), ast.MustParseTerm(rules), nil)
	if err == nil {
		err = plan.Make(v)
	}
	if err != nil {
		t.Fatalf("%s: %v", rules, err)
	}
	var out []string
	for _, group := range []string{"excused", "new", "left"} {
		g := v.Get(ast.StringTerm(group))
		ids, n := g.Get(keyIDs), g.Get(keyFindings).Value.(*ast.Array).Len()
		said := fmt.Sprintf("%s %v %v", group, ids, g.Get(keyCounts))
		if until := g.Get(keyUntil); until != nil {
			said += " until " + until.String()
		}
		if n > 0 {
			out = append(out, said)
		}
	}
	return strings.Join(out, "; ")
}

func TestFindings(t *testing.T) {
	const found = `[
		{"id": "CVE-3", "severity": "high", "package": "pkg:npm/a/b", "fixed_in": "2", "published": "2026-11-20T00:00:00Z"},
		{"id": "CVE-1", "severity": "critical", "package": "pkg:npm/a", "aliases": ["GHSA-1"], "published": "2026-11-01T00:00:00Z"},
		{"id": "CVE-1", "severity": "critical", "package": "pkg:npm/b", "published": "yesterday"},
		{"id": "CVE-4", "severity": "low"},
		{"severity": "high", "statements": [{"authority": "registry", "suppresses": false}, {"authority": "a", "suppresses": true}, {"authority": "b", "suppresses": false}]},
		"none",
	]`
	for rules, want := range map[string]string{
		`{"severities": ["critical", "high"]}`: `left ["CVE-1", "CVE-3"] {"critical": 2, "high": 2}`,
		`{"severities": ["low"]}`:              `left ["CVE-4"] {"low": 1}`,
		`{}`:                                   ``,
		`{"severities": ["critical", "high"], "fixable_only": true}`:                                                                                             `left ["CVE-3"] {"high": 1}`,
		`{"severities": ["high"], "vex": "respect"}`:                                                                                                             `excused [] {"high": 1}; left ["CVE-3"] {"high": 1}`,
		`{"severities": ["high"], "vex": "ignore"}`:                                                                                                              `left ["CVE-3"] {"high": 2}`,
		`{"severities": ["high"], "vex": "respect", "vex_authorities": ["b"]}`:                                                                                   `left ["CVE-3"] {"high": 2}`,
		`{"severities": ["high"], "vex": "respect", "vex_authorities": ["b","a"]}`:                                                                               `excused [] {"high": 1}; left ["CVE-3"] {"high": 1}`,
		`{"severities": ["high", "critical"], "grace_days": 2, "now": 1795262400000000000}`:                                                                      `new ["CVE-3"] {"high": 1} until 1795305600000000000; left ["CVE-1"] {"critical": 2, "high": 1}`,
		`{"severities": ["high"], "grace_days": 2, "now": 1795305600000000000}`:                                                                                  `left ["CVE-3"] {"high": 2}`,
		`{"severities": ["high"], "grace_days": 2, "now": 1795305599999999999}`:                                                                                  `new ["CVE-3"] {"high": 1} until 1795305600000000000; left [] {"high": 1}`,
		`{"severities": ["high"], "grace_days": 200000000, "now": 1795305600000000000}`:                                                                          `new ["CVE-3"] {"high": 1} until 17281795132800000000000; left [] {"high": 1}`,
		`{"severities": ["critical"], "now": 1, "ignore": [{"id": "GHSA-1", "package": "**", "expires": "2026-01-01T00:00:00Z"}]}`:                               `excused ["CVE-1"] {"critical": 1}; left ["CVE-1"] {"critical": 1}`,
		`{"severities": ["critical"], "now": 1, "ignore": [{"id": "CVE-1", "package": "pkg:npm/b", "expires": "2026-01-01T00:00:00Z"}]}`:                         `excused ["CVE-1"] {"critical": 1}; left ["CVE-1"] {"critical": 1}`,
		`{"severities": ["critical"], "now": 1, "ignore": [{"id": "CVE-1", "package": "pkg:npm/*", "expires": "2026-01-01T00:00:00Z"}]}`:                         `excused ["CVE-1"] {"critical": 2}`,
		`{"severities": ["critical"], "now": 1, "ignore": [{"id": "CVE-1", "package": "**", "expires": "some day"}, {"id": "CVE-1"}]}`:                           `left ["CVE-1"] {"critical": 2}`,
		`{"severities": ["critical"], "now": 1767225600000000000, "ignore": [{"id": "CVE-1", "package": "**", "expires": "2026-01-01T00:00:00Z"}]}`:              `left ["CVE-1"] {"critical": 2}`,
		`{"severities": ["critical"], "now": 1, "ignore": [{"id": "CVE-1", "package": "**", "expires": "2026-01-01T00:00:00Z"}], "vex": "respect"}`:              `excused ["CVE-1"] {"critical": 2}`,
		`{"severities": ["high"], "now": 1795262400000000000, "grace_days": 2, "ignore": [{"id": "CVE-3", "package": "**", "expires": "2027-01-01T00:00:00Z"}]}`: `excused ["CVE-3"] {"high": 1}; left [] {"high": 1}`,
	} {
		if got := sorted(t, found, rules); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", rules, got, want)
		}
	}
	for _, rules := range []string{
		`{"severity": ["high"]}`, `{"severities": [1]}`, `{"vex": "believe"}`, `{"grace_days": 1}`, `{"grace_days": "1"}`, `{"ignore": [{}]}`, `{"ignore": {}, "now": 1}`, `{"ignore": [1], "now": 1}`, `{"fixable_only": 1}`, `[]`,
	} {
		if got, err := Sort(ast.ArrayTerm(), ast.MustParseTerm(rules), nil); err == nil {
			t.Errorf("%s: %v", rules, got)
		}
	}
	if got, err := Sort(ast.StringTerm("x"), ast.ObjectTerm(), nil); err == nil {
		t.Errorf("a text is sorted: %v", got)
	}
}
