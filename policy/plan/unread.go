package plan

import "github.com/open-policy-agent/opa/v1/ast"

// Source is a collection that is not made of terms, such as a part of the input. One evaluation at a time asks it.
type Source interface {
	// Made is the collection as a value of OPA, for a step that needs the whole.
	Made() (ast.Value, error)
	// Member is what stands under a key, nil where nothing does. What is a collection itself may be unread.
	Member(key *ast.Term) (*ast.Term, error)
	// Len is how many members it has.
	Len() (int, error)
	// List reports whether its members stand in order, under 0, 1, 2 and so on.
	List() bool
}

// Unread is a collection that was not made yet. References go into it member by member, loops over a list take one member after the other, and so do built-ins that say so ([Builtins].Unread); any other step
// has it made first, in its place. It stands in places of a plan, and in lists and objects that are unread themselves; never in a collection of OPA, which would take it for something else than it is.
type Unread struct {
	ast.Value // none: who asks it fails
	Source
}

// NewUnread is a term of a source.
func NewUnread(s Source) *ast.Term { return &ast.Term{Value: &Unread{Source: s}} }

// Make has the value of a term made, in its place.
func Make(t *ast.Term) error {
	u, ok := t.Value.(*Unread)
	if !ok {
		return nil
	}
	v, err := u.Made()
	if err == nil {
		t.Value = v
	}
	return err
}

// made is a term with its value made; nil if there is none, or the machine has the error.
func (m *machine) made(t *ast.Term) *ast.Term {
	if t == nil || !unread(t) {
		return t
	}
	if !m.ask() { // it may be large
		return nil
	}
	if m.err = Make(t); m.err != nil {
		return nil
	}
	return t
}

func unread(t *ast.Term) bool {
	_, is := t.Value.(*Unread)
	return is
}

// value is what an operand has, made.
func (m *machine) value(o operand, at []*ast.Term) *ast.Term { return m.made(o.get(at)) }

// without is how it goes on where a step found no value: there is none, or it could not be made.
func (m *machine) without() signal {
	if m.err != nil {
		return failed
	}
	return undefined
}

// identical reports whether two terms are the same without being made.
func identical(a, b *ast.Term) bool {
	if unread(a) || unread(b) {
		return a == b
	}
	return a.Equal(b)
}

// hashOf is the hash of a term; what is not made has none of its own.
func hashOf(t *ast.Term) int {
	if unread(t) {
		return 0
	}
	return t.Value.Hash()
}

// within goes into what is unread.
func (m *machine) within(u *Unread, key *ast.Term) (*ast.Term, signal) {
	found, err := u.Member(key)
	switch {
	case err != nil:
		return nil, m.fail(err)
	case found == nil:
		return nil, undefined
	}
	return found, onward
}

// scanUnread makes a block for each member of a list.
func (m *machine) scanUnread(u *Unread, key, value int, inner block, at []*ast.Term) signal {
	n, err := u.Len()
	if err != nil {
		return m.fail(err)
	}
	for i := range n {
		at[key] = ast.InternedTerm(i)
		found, s := m.within(u, at[key])
		if s < 0 {
			return s
		}
		if at[value] = found; found == nil {
			return m.fail(errNothing)
		}
		if s := m.turn(inner, at); s < 0 {
			return s
		}
	}
	return onward
}
