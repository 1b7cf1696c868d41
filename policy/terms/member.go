package terms

import (
	"github.com/assay-registry/assay/policy/plan"
	"github.com/open-policy-agent/opa/v1/ast"
)

// Getter is an object, made or not.
type Getter interface {
	Get(key *ast.Term) *ast.Term
}

// GetterOf is a term that is an object; false if it is none.
func GetterOf(t *ast.Term) (Getter, bool) {
	switch v := t.Value.(type) {
	case ast.Object:
		return v, true
	case *plan.Unread:
		return unreadObject{v}, !v.List()
	}
	return nil, false
}

// unreadObject is an object of which a member is encoded when it is asked for. One that cannot be is not there: nothing counts for what it does not say.
type unreadObject struct{ *plan.Unread }

func (o unreadObject) Get(key *ast.Term) *ast.Term {
	t, _ := o.Member(key)
	return t
}

// TextIn is a text of an object; empty if there is none.
func TextIn(o Getter, key *ast.Term) string {
	if t := o.Get(key); t != nil {
		return Text(t)
	}
	return ""
}

// TrueIn reports whether a member of an object is true.
func TrueIn(o Getter, key *ast.Term) bool {
	t := o.Get(key)
	return t != nil && t.Equal(ast.BooleanTerm(true))
}
