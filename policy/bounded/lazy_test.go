package bounded

import (
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/assay-registry/assay/policy/plan"
	"github.com/assay-registry/assay/policy/terms"
)

// FuzzLazy: of what is unread they yield what OPA yields of the same made.
func FuzzLazy(f *testing.F) {
	collections := []string{`[]`, `{}`, `["a", "b", "ü"]`, `["a", 1]`, `{"a": {"b": [7]}, "c": null}`, `[[1], [2]]`, `"ab\u00fc\u0000"`, `""`, `7`, `{1, 2}`, `{"a"}`, `null`}
	for _, a := range collections {
		for _, b := range append([]string{`"a"`, `["a", "b", 0]`, `0`, `1`, `-1`, `2`, `9`, `1.5`, `", "`, `["a", "x"]`}, collections...) {
			for _, c := range []string{`0`, `2`, `-1`, `100`, `"default"`, `1e0`} {
				f.Add(a, b, c)
			}
		}
	}
	builtins, unread := lazyBuiltins(), Unread()
	f.Fuzz(func(t *testing.T, a, b, c string) {
		var made []*ast.Term
		for _, s := range []string{a, b, c} {
			x, err := ast.ParseTerm(s)
			if err != nil || x == nil || !x.IsGround() || len(s) > 200 {
				return
			}
			made = append(made, x)
		}
		for name, builtin := range builtins {
			n := len(ast.BuiltinMap[name].Decl.FuncArgs().Args)
			operands := make([]*ast.Term, n)
			for i := range operands {
				if operands[i] = ast.NewTerm(made[i].Value); i < unread[name] {
					operands[i] = halfRead(operands[i])
				}
			}
			got, err := builtin(&topdown.BuiltinContext{}, operands)
			if err == nil && got != nil {
				err = plan.Make(got)
			}
			want, wantErr := openBuiltin(name)(&topdown.BuiltinContext{}, made[:n])
			if (err == nil) != (wantErr == nil) || (got == nil) != (want == nil) || err == nil && got != nil && (got.String() != want.String() || got.Value.Hash() != want.Value.Hash()) {
				t.Errorf("%s(%v) is %v, %v, and by OPA %v, %v", name, made[:n], got, err, want, wantErr)
			}
		}
	})
}

// halfRead is a term that is unread: texts as built-ins have them, and everything else as an input.
func halfRead(t *ast.Term) *ast.Term {
	list, ok := t.Value.(*ast.Array)
	if !ok || list.Len() == 0 {
		return unreadTerm(t)
	}
	var texts []string
	for i := range list.Len() {
		s, ok := list.Elem(i).Value.(ast.String)
		if !ok {
			return unreadTerm(t)
		}
		texts = append(texts, string(s))
	}
	return terms.NewTexts(texts)
}

// lazily is a collection of OPA that is not read, nor are those in it.
type lazily struct{ value ast.Value }

// unreadTerm is a term with every array and object in it unread.
func unreadTerm(t *ast.Term) *ast.Term {
	switch t.Value.(type) {
	case *ast.Array, ast.Object:
		return plan.NewUnread(lazily{t.Value})
	}
	return t
}

func (l lazily) Made() (ast.Value, error) { return l.value, nil }

func (l lazily) Member(key *ast.Term) (*ast.Term, error) {
	t := ast.NewTerm(l.value).Get(key)
	if t == nil {
		return nil, nil
	}
	return unreadTerm(t), nil
}

func (l lazily) Len() (int, error) {
	if o, ok := l.value.(ast.Object); ok {
		return o.Len(), nil
	}
	return l.value.(*ast.Array).Len(), nil
}

func (l lazily) List() bool {
	_, ok := l.value.(*ast.Array)
	return ok
}
