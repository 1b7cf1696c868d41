package plan

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// NewList is an array of terms, unread where one of them is.
func NewList(terms []*ast.Term) *ast.Term {
	if slices.ContainsFunc(terms, unread) {
		return NewUnread(list(terms))
	}
	return ast.ArrayTerm(terms...)
}

// list is an array some of whose members are unread.
type list []*ast.Term

func (l list) Made() (ast.Value, error) {
	for _, t := range l {
		if err := Make(t); err != nil {
			return nil, err
		}
	}
	return ast.NewArray(l...), nil
}

func (l list) Member(key *ast.Term) (*ast.Term, error) {
	if n, ok := key.Value.(ast.Number); ok {
		if i, ok := n.Int(); ok && i >= 0 && i < len(l) {
			return l[i], nil
		}
	}
	return nil, nil
}

func (l list) Len() (int, error) { return len(l), nil }

func (l list) List() bool { return true }

// NewObject is an object of members, whose keys differ, unread where the value of one of them is.
func NewObject(members ...[2]*ast.Term) *ast.Term {
	if !slices.ContainsFunc(members, func(m [2]*ast.Term) bool { return unread(m[1]) }) {
		return ast.ObjectTerm(members...)
	}
	return NewUnread(&object{members: members})
}

// object is an object some of whose members are unread. It has few.
type object struct{ members [][2]*ast.Term }

func (o *object) Made() (ast.Value, error) {
	for _, m := range o.members {
		if err := Make(m[1]); err != nil {
			return nil, err
		}
	}
	return ast.NewObject(o.members...), nil
}

func (o *object) Member(key *ast.Term) (*ast.Term, error) {
	for _, m := range o.members {
		if m[0] == key || m[0].Equal(key) {
			return m[1], nil
		}
	}
	return nil, nil
}

func (o *object) Len() (int, error) { return len(o.members), nil }

func (o *object) List() bool { return false }

// mostUnread is how many members an object has that is not made yet: they are looked through one by one.
const mostUnread = 16

// keep puts an unread member into an object that is being made, and reports whether it could: then the object is unread, too.
func (m *machine) keep(to, key, value *ast.Term) bool {
	switch o := to.Value.(type) {
	case ast.Object:
		if o.Len() >= mostUnread || o.Get(key) != nil {
			return false
		}
		members := make([][2]*ast.Term, 0, o.Len()+1)
		o.Foreach(func(k, v *ast.Term) { members = append(members, [2]*ast.Term{k, v}) })
		to.Value = &Unread{Source: &object{append(members, [2]*ast.Term{key, value})}}
		return true
	case *Unread:
		if o, ok := o.Source.(*object); ok && len(o.members) < mostUnread {
			if old, _ := o.Member(key); old == nil {
				o.members = append(o.members, [2]*ast.Term{key, value})
				return true
			}
		}
	}
	return false
}
