package bounded

import (
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// FuzzQuick: the shorter way yields what OPA yields, to the letter.
func FuzzQuick(f *testing.F) {
	for _, s := range []string{
		"0", "-0", "1", "-1", "1.0", "0.5", "-2.5", "1e3", "1e30", "32768", "-2147483649", "86400000000000", "1763740800000000000", "2305843009213693951", "2305843009213693952",
		"9223372036854775807", "9223372036854775808", "-9223372036854775808", "9999999999999999999", "18446744073709551617", `"a"`, "[1700000000000000000, \"UTC\"]", "null",
		"[]", "[1, 2, 3]", "[-1, 0]", "[2305843009213693951, 2305843009213693951]", "[1.0, 2]", "[1e3]", "[0.5]", `["a"]`, "{1, 2}", "[-0]", "[[1]]",
	} {
		f.Add(s, "1700000000000000000")
		f.Add("3", s)
		f.Add(s, s)
	}
	quick := quickBuiltins()
	f.Fuzz(func(t *testing.T, a, b string) {
		x, err := ast.ParseTerm(a)
		y, err2 := ast.ParseTerm(b)
		if err != nil || err2 != nil || x == nil || y == nil || !x.IsGround() || !y.IsGround() || len(a)+len(b) > 200 {
			return
		}
		for name, builtin := range quick {
			if name == "sprintf" {
				continue
			}
			operands := []*ast.Term{x, y}[:len(ast.BuiltinMap[name].Decl.FuncArgs().Args)]
			got, err := builtin(&topdown.BuiltinContext{}, operands)
			want, wantErr := openBuiltin(name)(&topdown.BuiltinContext{}, operands)
			if (err == nil) != (wantErr == nil) || (got == nil) != (want == nil) || got != nil && (got.String() != want.String() || got.Value.Hash() != want.Value.Hash()) {
				t.Errorf("%s(%s, %s) is %v, %v, and by OPA %v, %v", name, a, b, got, err, want, wantErr)
			}
		}
	})
}

// FuzzSprintf: so does it for sentences.
func FuzzSprintf(f *testing.F) {
	for _, format := range []string{"%s of %d", "%d%%", "%s", "%", "%d %d", "%5s", "%[1]s", "%v", "%q", "", "a", "%s\xff%d", "%s%!", "%S"} {
		for _, args := range []string{`["x", 3]`, `[3]`, `["x"]`, `[]`, `[-0]`, `[1.0]`, `[1e3, 2]`, `[9223372036854775808, "\u0000"]`, `[null, {"a": [1]}]`, `["a", "b", "c"]`, `"x"`, `[-9223372036854775808, 1]`} {
			f.Add(format, args)
		}
	}
	quick, slow := quickBuiltins()["sprintf"], openBuiltin("sprintf")
	f.Fuzz(func(t *testing.T, format, args string) {
		list, err := ast.ParseTerm(args)
		if err != nil || list == nil || !list.IsGround() || len(args) > 200 {
			return
		}
		operands := []*ast.Term{ast.StringTerm(format), list}
		got, err := quick(&topdown.BuiltinContext{}, operands)
		want, wantErr := slow(&topdown.BuiltinContext{}, operands)
		if (err == nil) != (wantErr == nil) || err == nil && !got.Equal(want) {
			t.Errorf("sprintf(%q, %s) is %v, %v, and by OPA %v, %v", format, args, got, err, want, wantErr)
		}
	})
}

// TestQuickNumbers: what texts are numbers of is added and written as OPA does it, however it is written.
func TestQuickNumbers(t *testing.T) {
	var numbers []*ast.Term
	for _, s := range []string{"+5", "-5", "0012", "-0", "+0", "-00", "1_000", "0x10", "0x1p4", "1e2", "1E2", ".5", "5.", "-.5", "2305843009213693951", "2305843009213693952", "-2305843009213693952", "09", "1e-2", "32767", "32768"} {
		_ = topdown.GetBuiltin("to_number")(topdown.BuiltinContext{}, []*ast.Term{ast.StringTerm(s)}, func(n *ast.Term) error {
			numbers = append(numbers, n)
			return nil
		})
	}
	if len(numbers) < 12 {
		t.Fatalf("%d numbers", len(numbers))
	}
	for name, builtin := range quickBuiltins() {
		for _, a := range numbers {
			for _, b := range numbers {
				operands := []*ast.Term{a, b}[:len(ast.BuiltinMap[name].Decl.FuncArgs().Args)]
				if name == "sprintf" {
					operands = []*ast.Term{ast.StringTerm("%d of %d"), ast.ArrayTerm(a, b)}
				}
				got, err := builtin(&topdown.BuiltinContext{}, operands)
				want, wantErr := openBuiltin(name)(&topdown.BuiltinContext{}, operands)
				if (err == nil) != (wantErr == nil) || (got == nil) != (want == nil) || got != nil && (got.String() != want.String() || got.Value.Hash() != want.Value.Hash()) {
					t.Errorf("%s(%v, %v) is %v, %v, and by OPA %v, %v", name, a, b, got, err, want, wantErr)
				}
			}
		}
	}
}
