package wanted

import (
	"fmt"

	"github.com/assay-registry/assay/policy/terms"
	"github.com/open-policy-agent/opa/v1/ast"
)

// EachText calls f for a text, or for each of an array or set of texts.
func EachText(t *ast.Term, f func(*ast.Term, string) error) error {
	one := func(t *ast.Term) error {
		s, ok := t.Value.(ast.String)
		if !ok {
			return fmt.Errorf("a %s stands where a text is wanted", ast.ValueName(t.Value))
		}
		return f(t, string(s))
	}
	switch v := t.Value.(type) {
	case *ast.Array:
		return v.Iter(one)
	case ast.Set:
		return v.Iter(one)
	}
	return one(t)
}

// Texts are a text, or those of an array or set.
func Texts(t *ast.Term) ([]string, error) {
	var list []string
	switch v := t.Value.(type) {
	case ast.String:
		return []string{string(v)}, nil
	case *ast.Array:
		if v.Len() == 0 {
			return nil, nil
		}
		list = make([]string, 0, v.Len())
	}
	err := EachText(t, func(_ *ast.Term, s string) error {
		list = append(list, s)
		return nil
	})
	return list, err
}

// EachMember calls f for the members of an object.
func EachMember(t *ast.Term, f func(name string, v *ast.Term) error) error {
	object, ok := t.Value.(ast.Object)
	if !ok {
		return fmt.Errorf("what is wanted is an object, and not a %s", ast.ValueName(t.Value))
	}
	return object.Iter(func(k, v *ast.Term) error { return f(terms.Text(k), v) })
}

// EachOf calls f for the members of an array or a set.
func EachOf(t *ast.Term, f func(*ast.Term) error) error {
	switch v := t.Value.(type) {
	case *ast.Array:
		return v.Iter(f)
	case ast.Set:
		return v.Iter(f)
	}
	return fmt.Errorf("a %s stands where a list is wanted", ast.ValueName(t.Value))
}

// Withheld is why a value is not given, for the policy.
type Withheld string

// Error implements error.
func (s Withheld) Error() string { return string(s) }
