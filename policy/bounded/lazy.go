package bounded

import (
	"cmp"
	"strings"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/assay-registry/assay/policy/plan"
	"github.com/assay-registry/assay/policy/terms"
)

// Unread are those of which the first operands, so many, may be unread.
func Unread() map[string]int {
	return map[string]int{ast.Count.Name: 1, ast.ObjectGet.Name: 1, ast.Concat.Name: 2, ast.ArraySlice.Name: 1, ast.IsObject.Name: 1}
}

// lazyBuiltins are built-ins of OPA that need not have everything made: what they do not take is made, and left to OPA.
func lazyBuiltins() map[string]plan.Builtin {
	all := map[string]plan.Builtin{}
	for name, lazy := range map[string]func(operands []*ast.Term) (*ast.Term, error){
		ast.Count.Name: lazyCount, ast.ObjectGet.Name: lazyGet, ast.Concat.Name: lazyJoin, ast.ArraySlice.Name: lazySlice, ast.IsObject.Name: lazyIsObject,
	} {
		open := openBuiltin(name)
		all[name] = func(bctx *topdown.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
			answer, err := lazy(operands)
			for i := 0; answer == nil && err == nil && i < len(operands); i++ {
				err = plan.Make(operands[i])
			}
			if answer != nil || err != nil {
				return answer, err
			}
			return open(bctx, operands)
		}
	}
	return all
}

func unreadOf(t *ast.Term) *plan.Unread {
	u, _ := t.Value.(*plan.Unread)
	return u
}

func lazyCount(operands []*ast.Term) (*ast.Term, error) {
	switch v := operands[0].Value.(type) {
	case *plan.Unread:
		n, err := v.Len()
		return ast.InternedTerm(n), err
	case *ast.Array:
		return ast.InternedTerm(v.Len()), nil
	case ast.Object:
		return ast.InternedTerm(v.Len()), nil
	case ast.Set:
		return ast.InternedTerm(v.Len()), nil
	case ast.String:
		return ast.InternedTerm(utf8.RuneCountInString(string(v))), nil
	}
	return nil, nil
}

func lazyIsObject(operands []*ast.Term) (*ast.Term, error) {
	if u := unreadOf(operands[0]); u != nil {
		return ast.InternedTerm(!u.List()), nil
	}
	return nil, nil
}

// lazyGet goes into objects. A path may go on in lists.
func lazyGet(operands []*ast.Term) (*ast.Term, error) {
	u := unreadOf(operands[0])
	o, made := operands[0].Value.(ast.Object)
	if !made && (u == nil || u.List()) {
		return nil, nil
	}
	if _, long := operands[1].Value.(*ast.Array); made && !long {
		return cmp.Or(o.Get(operands[1]), operands[2]), nil
	}
	path, ok := operands[1].Value.(*ast.Array)
	if !ok {
		path = ast.NewArray(operands[1])
	}
	at := operands[0]
	for i := range path.Len() {
		if u := unreadOf(at); u != nil {
			var err error
			if at, err = u.Member(path.Elem(i)); err != nil {
				return nil, err
			}
		} else {
			at = at.Get(path.Elem(i))
		}
		if at == nil {
			return operands[2], nil
		}
	}
	return at, nil
}

// lazySlice is a part of a list of texts.
func lazySlice(operands []*ast.Term) (*ast.Term, error) {
	texts, ok := textsOfPart(operands[0])
	start, whole := terms.Whole(operands[1])
	stop, also := terms.Whole(operands[2])
	if stop = min(stop, int64(len(texts))); !ok || !whole || !also || start < 0 || start > stop {
		return nil, nil
	}
	return terms.NewTexts(texts[start:stop]), nil
}

func textsOfPart(t *ast.Term) (terms.Texts, bool) {
	if u := unreadOf(t); u != nil {
		texts, ok := u.Source.(terms.Texts)
		return texts, ok
	}
	return nil, false
}

// lazyJoin joins texts.
func lazyJoin(operands []*ast.Term) (*ast.Term, error) {
	texts, ok := textsOfPart(operands[1])
	between, also := operands[0].Value.(ast.String)
	if !ok || !also {
		return nil, nil
	}
	n := 0
	for _, s := range texts {
		if n += len(s) + len(between) + 2; n > maxOutput {
			return nil, nil
		}
	}
	return ast.StringTerm(strings.Join(texts, string(between))), nil
}
