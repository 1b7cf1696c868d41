package plan

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// patience is a cancel that gives up after so many questions.
type patience struct{ asked, limit int }

func (p *patience) Cancel() { p.limit = 0 }
func (p *patience) Cancelled() bool {
	p.asked++
	return p.asked > p.limit
}

// TestCancel: whatever a policy does much of, it is asked before it is done much more; nothing that takes long is done twice without a question.
func TestCancel(t *testing.T) {
	many := func(line string) string { return strings.Repeat(line+"\n", 200) }
	for name, rules := range map[string]string{
		"calls of a built-in":               "deny if {\n" + many("sort(input.list) != 1") + "}",
		"calls in a function":               "deny if f(1)\nf(x) if {\n" + many("sort(input.list) != x") + "}",
		"calls in a function without loops": "deny if { some x in input.list; f(x) }\nf(x) if {\n" + many("not x in [7]") + "}",
		"comparisons":                       "deny if {\n" + many("input.list != 7") + "}",
		"unifications":                      "deny if {\n" + many("input.list = input.other") + "}",
		"loops":                             "deny if { some a in input.list; some b in input.list; some c in input.list; some d in input.list; some e in input.list; a + b + c + d + e == 0 }",
		"loops in a comprehension":          "deny if count([1 | some a in input.list; some b in input.list; some c in input.list; some d in input.list; some e in input.list]) == 0",
		"loops under every":                 "deny if every a in input.list { every b in input.list { every c in input.list { every d in input.list { every e in input.list { a + b + c + d + e > 0 } } } } }",
		"loops under not":                   "deny if not loop\nloop if { some a in input.list; some b in input.list; some c in input.list; some d in input.list; some e in input.list; a + b + c + d + e == 0 }",
		"functions of functions":            "deny if { some a in input.list; f(a) }\nf(a) if { some b in input.list; g([a, b]) }\ng(a) if { some b in input.list; h([a, b]) }\nh(a) if { some b in input.list; i([a, b]) }\ni(a) if { some b in input.list; b < 0 }",
	} {
		m, err := ast.ParseModule("t.rego", "package t\n\n"+rules+"\n")
		if err != nil {
			t.Fatal(err)
		}
		calls := 0
		sort := func(_ *topdown.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
			calls++
			return operands[0], nil
		}
		p, err := Compile(t.Context(), map[string]*ast.Module{"t.rego": m}, ast.CapabilitiesForThisVersion(), []ast.Ref{ast.MustParseRef("data.t.deny")}, Builtins{Whole: map[string]Builtin{"sort": sort}})
		if err != nil {
			t.Fatal(err)
		}
		input := ast.MustParseTerm(`{"list": [1, 2, 3], "other": [1, 2, 3]}`).Value
		eval := func(limit int) (int, error) {
			cancel := &patience{limit: limit}
			_, err := p.Eval(cancel, input, time.Unix(0, 0), []string{"data.t.deny"})
			return cancel.asked, err
		}
		all, err := eval(1 << 30)
		if err != nil || all < 10 {
			t.Errorf("%s: asked %d times, %v", name, all, err)
		}
		if calls > all {
			t.Errorf("%s: %d calls, and asked %d times", name, calls, all)
		}
		calls = 0
		if n, err := eval(3); n != 4 || calls > 3 || !topdown.IsCancel(err) {
			t.Errorf("%s: asked %d times, %d calls, %v", name, n, calls, err)
		}
	}
}

// TestCancelWithin: a built-in that gives up ends the evaluation as the machine does.
func TestCancelWithin(t *testing.T) {
	m := ast.MustParseModule("package t\n\ndeny if count(numbers.range(1, 100000)) == 0\n")
	p, err := Compile(t.Context(), map[string]*ast.Module{"t.rego": m}, ast.CapabilitiesForThisVersion(), []ast.Ref{ast.MustParseRef("data.t.deny")}, Builtins{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Eval(&patience{limit: 100}, ast.NewObject(), time.Unix(0, 0), []string{"data.t.deny"}); !topdown.IsCancel(err) || errors.Is(err, errNothing) {
		t.Error(fmt.Errorf("got %w", err))
	}
}
