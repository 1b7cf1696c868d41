package engine

import (
	"strings"
	"testing"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
)

// TestFindings_NoRules: rules that are none are no answer.
func TestFindings_NoRules(t *testing.T) {
	for _, call := range []string{`assay.findings([], {"severity": ["high"]})`, `assay.findings([], {"ignore": [1], "now": 1})`} {
		if got := answers(t, call); got != CodeError {
			t.Errorf("%s: %s", call, got)
		}
	}
}

// A trace tells which findings went where.
func TestTrace_Findings(t *testing.T) {
	source, err := BuiltinSource("builtin:vulnerabilities")
	if err != nil {
		t.Fatal(err)
	}
	s := set(t, Options{}, Policy{Name: "p", Repositories: store.Globs{"**"}, Source: source, Params: map[string]any{"severities": []any{"high"}}})
	top := append(manyFindings(1, "high", true), manyFindings(2, "high", false)[1])
	_, nodes, err := s.Trace(t.Context(), matchedReport(top))
	if err != nil {
		t.Fatal(err)
	}
	told := strings.Join((&contract.Trace{Policies: nodes}).Lines(), "\n")
	for _, want := range []string{`+ a finding that is excused = id = "CVE-2026-10000", statements = [{"at": "2026-11-01T00:00:00Z", "authority": "security"`, `- a finding that is left = id = "CVE-2026-10001"`} {
		if !strings.Contains(told, want) {
			t.Errorf("it lacks %s:\n%s", want, told)
		}
	}
}
