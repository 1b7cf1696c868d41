package plan

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

// TestFits: what would take long to plan, or would be planned as something else, is left to the interpreter.
func TestFits(t *testing.T) {
	lines := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "\t%s\n", strings.ReplaceAll(format, "#", fmt.Sprint(i)))
		}
		return b.String()
	}
	rules := func(n int, body string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "r%d if {\n%s}\n\n", i, body)
		}
		return b.String()
	}
	for _, c := range []struct {
		name, source string
		fits         bool
	}{
		{"a rule", "deny contains x if some x in input.list", true},
		{"a long rule", "deny if {\n" + lines(maxBody/2, "input.x != #") + "}", true},
		{"a rule that is too long", "deny if {\n" + lines(maxBody+1, "input.x != #") + "}", false},
		{"a comprehension that is too long", "deny if count([1 |\n" + lines(maxBody+1, "input.x != #") + "]) > 1", false},
		{"an else that is too long", "deny := 1 if input.x == 1 else := 2 if {\n" + lines(maxBody+1, "input.x != #") + "}", false},
		{"many rules", rules(maxExpressions/maxBody, lines(maxBody-1, "input.x")), true},
		{"too many rules", rules(maxExpressions/maxBody+1, lines(maxBody-1, "input.x")), false},
		{"loops in loops", "deny if {\n" + lines(maxLoops/2, "some x# in input.list; x# > 1") + "}", true},
		{"too many loops", "deny if {\n" + lines(maxLoops+1, "some x# in input.list; x# > 1") + "}", false},
		{"too many in one reference", "deny if input" + strings.Repeat("[_]", maxLoops+1), false},
		{"too many closures", "deny if {\n" + lines(maxLoops+1, "count([1 | input.list[_] > 1]) > #") + "}", false},
		{"too many every", "deny if {\n" + lines(maxLoops+1, "every x# in input.list { x# > 1 }") + "}", false},
		{"members of a rule", "cfg[x] := 1 if some x in input.list\ndeny if some x, 1 in cfg", true},
		{"a rule under a number", "cfg[1] := 1\ndeny if cfg[1.0]", false},
		{"a rule under a variable", "cfg[x] := 1 if x := 1\ndeny if cfg[1.0]", true},
		{"a rule under a text", "cfg[\"1\"] := 1\ndeny if cfg[\"1\"]", true},
		{"rules by name", "cfg.a := 1\ncfg.b := 2\ndeny contains x if cfg[x] == 1", false},
		{"packages that are not there by name", "deny contains x if data.u[x] == 1", true},
		{"with the input", "deny if cfg with input.x as 1\ncfg if input.x", true}, // its entry points are not planned, others are
		{"with data", "deny if cfg with data.u as 1\ncfg if data.u", false},
		{"with a rule", "deny if cfg with e as 1\ncfg if e\ne := 2", false},
		{"with a function", "deny if cfg with count as 1\ncfg if count([]) == 1", false},
		{"a comprehension alone", "deny if [1 | to_number(input.x)]", false},
		{"a comprehension in an object alone", `deny if { input.x; not {"a": {2 | to_number(input.x)}} }`, true}, // it is taken out
		{"a comprehension for each", "deny contains x if { some x in input.list; y := [z | some z in input.all; z.name == x]; count(y) > 1 }", false},
		{"a comprehension of a group", "deny contains n if { n := input.all[_].name; y := {i | input.all[i].name == n}; count(y) > 1 }", false},
		{"a set of what may be the same", "deny if some x in {input.x, input.y}", false},
		{"an object of what may be the same", "deny if some x in {input.x: 1, 2: 3}", false},
		{"a set of one", "deny if some x in {input.x}", true},
		{"an object of constant names", `deny if some x in {"a": input.x, "b": input.y}`, true},
		{"a set of constants", "deny if some x in {1, 2, {3}}", true},
		{"a comprehension with a name", "deny if { x := [1 | to_number(input.x)]; x }", true},
	} {
		compiler, err := ast.CompileModules(map[string]string{"t.rego": "package t\n\n" + c.source + "\n"})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if err := Fits(compiler); (err == nil) != c.fits || err != nil && !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v, want fits %v", c.name, err, c.fits)
		}
	}
}

// TestThePlannerFails: what OPA's planner cannot do, and loses its place over, is left to the interpreter.
func TestThePlannerFails(t *testing.T) {
	for _, rule := range []string{`not { r }`, `{ r } or { input.y }`, `r`, `count([1 | r]) > 1`} {
		m, err := ast.ParseModule("t.rego", "package t\n\nimport future.keywords.not\nimport future.keywords.or\n\n"+`deny contains x if { x := input.x; `+rule+` }

r if { {"a": y} = {k: v | some k, v in input}; y > 1 }
`)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Compile(t.Context(), map[string]*ast.Module{"t.rego": m}, ast.CapabilitiesForThisVersion(), []ast.Ref{ast.MustParseRef("data.t.deny")}, Builtins{})
		if !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v", rule, err)
		}
	}
}
