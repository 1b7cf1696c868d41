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

// sheet is a collection that tells whether it was made.
type sheet struct {
	value ast.Value
	made  map[string]int
	fails error
}

func (s sheet) of(t *ast.Term) *ast.Term {
	switch t.Value.(type) {
	case *ast.Array, ast.Object:
		s.value = t.Value
		return NewUnread(s)
	}
	return t
}

func (s sheet) Made() (ast.Value, error) {
	s.made[s.value.String()]++
	return s.value, s.fails
}

func (s sheet) Member(key *ast.Term) (*ast.Term, error) {
	if t := ast.NewTerm(s.value).Get(key); t != nil {
		return s.of(t), nil
	}
	return nil, nil
}

func (s sheet) Len() (int, error) {
	if o, ok := s.value.(ast.Object); ok {
		return o.Len(), nil
	}
	return s.value.(*ast.Array).Len(), nil
}

func (s sheet) List() bool {
	_, ok := s.value.(*ast.Array)
	return ok
}

// unreadEval evaluates data.t.deny of some rules with an input that is unread.
func unreadEval(t *testing.T, rules, input string, s sheet) (*ast.Term, error) {
	t.Helper()
	modules := map[string]*ast.Module{"t.rego": ast.MustParseModule("package t\n\n" + rules + "\n")}
	count := func(_ *topdown.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
		if u, ok := operands[0].Value.(*Unread); ok {
			n, err := u.Len()
			return ast.InternedTerm(n), err
		}
		n, _ := size(operands[0])
		return ast.InternedTerm(n), nil
	}
	p, err := Compile(t.Context(), modules, ast.CapabilitiesForThisVersion(), []ast.Ref{ast.MustParseRef("data.t.deny")}, Builtins{Whole: map[string]Builtin{"count": count}, Unread: map[string]int{"count": 1}})
	if err != nil {
		t.Fatalf("%s: %v", rules, err)
	}
	out, err := p.Eval(nil, s.of(ast.MustParseTerm(input)).Value, time.Unix(0, 0), []string{"data.t.deny"})
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// TestUnread: what is unread is made where a step needs the whole of it, once, and nowhere else.
func TestUnread(t *testing.T) {
	const input = `{"items": [{"name": "a", "list": [1, 2]}, {"name": "b", "list": [1]}, {"name": "c", "list": [1, 2]}], "o": {"k": {"deep": [7]}}}`
	for _, c := range []struct {
		rules, want string
		made        int
	}{
		{`deny contains e.name if some e in input.items`, `{"a", "b", "c"}`, 0},
		{`deny contains n if { some e in input.items; n := count(e.list) }`, `{2, 1}`, 0},
		{`deny contains sized(e) if some e in input.items
sized(e) := n if { some _ in e.list; n := count(e.list) }`, `{2, 1}`, 0},
		{`deny contains sized(e) if { some e in input.items; sized(e) > 0; sized(e) > 0 }
sized(e) := sum([x | some x in e.list])`, `{3, 1}`, 0},
		{`deny := [x | some e in [{"of": input.o, "n": 1}, {"of": input.items[1], "n": 2}]; x := [e.n, count(e.of)]]`, `[[1, 1], [2, 2]]`, 0},
		{`deny := count([e | some e in input.items; e.name != "b"])`, `2`, 0},
		{`deny := [e | some e in input.items; e.name != "b"][1].list[0]`, `1`, 0},
		{`deny := {e.name: e.list | some e in input.items}.b[0]`, `1`, 0},
		{`deny := {e.name: e.list | some e in input.items}`, `{"a": [1, 2], "b": [1], "c": [1, 2]}`, 3},
		{`deny := {"a": input.o.k, "b": [input.o.k]}`, `{"a": {"deep": [7]}, "b": [{"deep": [7]}]}`, 2},
		{`deny contains e.list if some e in input.items`, `{[1, 2], [1]}`, 3},
		{`deny contains 1 if input.items[0].list == input.items[2].list`, `{1}`, 2},
		{`deny contains 1 if input.items[0].list != input.items[1].list`, `{1}`, 2},
		{`deny contains k if some k, _ in input.o`, `{"k"}`, 1},
		{`deny contains x if some x in array.concat(input.items[0].list, [3])`, `{1, 2, 3}`, 1},
		{`deny := input.o.k`, `{"deep": [7]}`, 1},
		{`deny contains 1 if input.items[3]`, `set()`, 0},
		{`deny contains 1 if not input.items[0].other`, `{1}`, 0},
		{`deny := x if { x := input.o.k; y := input.o.k; x == y }`, `{"deep": [7]}`, 2},
	} {
		s := sheet{made: map[string]int{}}
		got, err := unreadEval(t, c.rules, input, s)
		n := 0
		for _, times := range s.made {
			n += times
		}
		if want := ast.MustParseTerm(c.want); err != nil || !got.Equal(want) || got.Value.Hash() != want.Value.Hash() {
			t.Errorf("%s\nyields %v, want %v: %v", c.rules, got, want, err)
		} else if n != c.made {
			t.Errorf("%s\nmade %v, want %d", c.rules, s.made, c.made)
		}
	}
}

// TestUnread_Conflict: what is unread is compared with what stands in its place already.
func TestUnread_Conflict(t *testing.T) {
	for rules, conflict := range map[string]bool{
		`deny := {k: e.list | some e in input.items; k := "x"}`:                    true,
		`deny := {k: e.list | some e in input.items; e.n > 1; k := "x"}`:           false,
		`deny := e.list if some e in input.items`:                                  true,
		`deny := {k: v | some v in ["made", input.items]; k := "x"}`:               true,
		`deny := e.list if { some e in input.items; e.n > 1 }`:                     false,
		`deny := {k: v | some e in input.items; k := "x"; v := [e.list, e.other]}`: false,
	} {
		got, err := unreadEval(t, rules, `{"items": [{"n": 1, "list": [1]}, {"n": 2, "list": [1, 2]}, {"n": 3, "list": [1, 2]}]}`, sheet{made: map[string]int{}})
		if errors.Is(err, errConflict) != conflict || !conflict && err != nil {
			t.Errorf("%s\nyields %v: %v", rules, got, err)
		}
	}
}

// TestUnread_Large: an object of many unread members is made, and found by its names before and after.
func TestUnread_Large(t *testing.T) {
	var items []string
	for i := range 41 {
		items = append(items, fmt.Sprintf(`{"name": "%d"}`, i))
	}
	got, err := unreadEval(t, `all := {e.name: e | some e in input.items}
deny := [all["7"].name, all["40"].name, count(all)]`, `{"items": [`+strings.Join(items, ", ")+`]}`, sheet{made: map[string]int{}})
	if want := ast.MustParseTerm(`["7", "40", 41]`); err != nil || !got.Equal(want) {
		t.Errorf("%v, %v", got, err)
	}
}

// TestUnread_Fails: what cannot be made ends the evaluation with that error, wherever it is needed.
func TestUnread_Fails(t *testing.T) {
	fails := errors.New("it cannot be made")
	for _, rules := range []string{
		`deny := input.o.k`, `deny contains input.o.k`, `deny contains 1 if input.o.k == 1`, `deny contains 1 if input.o.k != 1`, `deny contains 1 if not input.o.k == 1`, `deny contains 1 if is_array(input.o.k)`, `deny contains k if some k, _ in input.o`,
		`deny contains 1 if not some_of(input.o)
some_of(x) if some _, _ in x`, `deny contains 1 if not {"a": 1}[input.o.k]`, `deny := x if some x in [input.o.k, input.items]`, `deny contains 1 if { [x, _] = input.items; x }`, `deny := {k: input.o | some k in [input.items]}`, `deny contains 1 if every x, y in input.o { x == y }`,
	} {
		if got, err := unreadEval(t, rules, `{"o": {"k": {"deep": 1}}, "items": [1, 2]}`, sheet{made: map[string]int{}, fails: fails}); !errors.Is(err, fails) {
			t.Errorf("%s\nyields %v: %v", rules, got, err)
		}
	}
}
