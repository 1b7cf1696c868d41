package plan

import (
	"encoding/json"
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
)

// assignment links what gives a place a value.
func (l *linker) assignment(s ir.Stmt) (step, error) {
	switch s := s.(type) {
	case *ir.ResetLocalStmt:
		target := int(s.Target)
		return func(_ *machine, at []*ast.Term) signal {
			at[target] = nil
			return onward
		}, nil
	case *ir.AssignIntStmt:
		return constant(int(s.Target), ast.InternedTerm(int(s.Value))), nil
	case *ir.AssignVarStmt:
		source, err := l.operand(s.Source)
		target := int(s.Target)
		return func(_ *machine, at []*ast.Term) signal {
			at[target] = source.get(at)
			return onward
		}, err
	case *ir.AssignVarOnceStmt:
		source, err := l.operand(s.Source)
		target := int(s.Target)
		return func(m *machine, at []*ast.Term) signal {
			value := source.get(at)
			switch old := at[target]; {
			case old == nil:
				at[target] = value
			case old != value && !alike(m.made(old), m.made(value)):
				return m.fail(errConflict)
			}
			return onward
		}, err
	case *ir.DotStmt:
		both, err := l.operands(s.Source, s.Key)
		if err != nil {
			return nil, err
		}
		return dot(both[0], both[1], int(s.Target)), nil
	case *ir.LenStmt:
		source, err := l.operand(s.Source)
		target := int(s.Target)
		return func(m *machine, at []*ast.Term) signal {
			n, ok := size(m.value(source, at))
			if !ok {
				return m.without()
			}
			at[target] = ast.InternedTerm(n)
			return onward
		}, err
	}
	return nil, fmt.Errorf("%w: a %T", ErrUnsupported, s)
}

func constant(target int, term *ast.Term) step {
	return func(_ *machine, at []*ast.Term) signal {
		at[target] = term
		return onward
	}
}

func dot(source, key operand, target int) step {
	return func(m *machine, at []*ast.Term) signal {
		from, name := source.get(at), m.value(key, at)
		if from == nil || name == nil {
			at[target] = nil
			return m.without()
		}
		var found *ast.Term
		switch v := from.Value.(type) {
		case *Unread:
			var s signal
			at[target], s = m.within(v, name)
			return s
		case ast.Object:
			found = v.Get(name)
		case *ast.Array:
			found = v.Get(name)
		case ast.Set:
			if v.Contains(name) {
				found = name
			}
		}
		if at[target] = found; found == nil {
			return undefined
		}
		return onward
	}
}

func size(t *ast.Term) (int, bool) {
	if t == nil {
		return 0, false
	}
	switch v := t.Value.(type) {
	case *ast.Array:
		return v.Len(), true
	case ast.Object:
		return v.Len(), true
	case ast.Set:
		return v.Len(), true
	}
	return 0, false
}

// test links what holds or not.
func (l *linker) test(s ir.Stmt) (step, error) {
	switch s := s.(type) {
	case *ir.EqualStmt:
		return l.equality(s.A, s.B, true)
	case *ir.NotEqualStmt:
		return l.equality(s.A, s.B, false)
	case *ir.IsArrayStmt:
		return l.typed(s.Source, func(v ast.Value) bool { _, ok := v.(*ast.Array); return ok })
	case *ir.IsObjectStmt:
		return l.typed(s.Source, func(v ast.Value) bool { _, ok := v.(ast.Object); return ok })
	case *ir.IsSetStmt:
		return l.typed(s.Source, func(v ast.Value) bool { _, ok := v.(ast.Set); return ok })
	case *ir.IsDefinedStmt:
		return definedness(int(s.Source), true), nil
	case *ir.IsUndefinedStmt:
		return definedness(int(s.Source), false), nil
	}
	return nil, fmt.Errorf("%w: a %T", ErrUnsupported, s)
}

func holds(b bool) signal {
	if b {
		return onward
	}
	return undefined
}

func (l *linker) equality(a, b ir.Operand, want bool) (step, error) {
	both, err := l.operands(a, b)
	if err != nil {
		return nil, err
	}
	left, right := both[0], both[1]
	return func(m *machine, at []*ast.Term) signal {
		x, y := m.value(left, at), m.value(right, at)
		if x == nil || y == nil {
			return m.fail(errNothing)
		}
		if _, large := size(x); large && !m.goOn() {
			return failed
		}
		return holds(x.Equal(y) == want)
	}, nil
}

func (l *linker) typed(source ir.Operand, is func(ast.Value) bool) (step, error) {
	o, err := l.operand(source)
	return func(m *machine, at []*ast.Term) signal {
		t := m.value(o, at)
		if t == nil {
			return m.without()
		}
		return holds(is(t.Value))
	}, err
}

func definedness(place int, want bool) step {
	return func(_ *machine, at []*ast.Term) signal { return holds(at[place] != nil == want) }
}

// maker links what makes an empty value, or a number.
func (l *linker) maker(s ir.Stmt) (step, error) {
	if target, term := l.scalar(s); term != nil {
		return constant(target, term), nil
	}
	target, ok := emptied(s)
	if !ok {
		return nil, fmt.Errorf("%w: a %T", ErrUnsupported, s)
	}
	return func(_ *machine, at []*ast.Term) signal {
		at[target] = &ast.Term{Value: emptyOf(s)}
		return onward
	}, nil
}

// scalar is the constant that a statement makes; nil if it makes none.
func (l *linker) scalar(s ir.Stmt) (int, *ast.Term) {
	switch s := s.(type) {
	case *ir.MakeNullStmt:
		return int(s.Target), ast.NullTerm()
	case *ir.MakeNumberIntStmt:
		return int(s.Target), ast.InternedTerm(int(s.Value))
	case *ir.MakeNumberRefStmt:
		return int(s.Target), ast.NumberTerm(json.Number(l.strings[s.Index].Value.(ast.String)))
	}
	return 0, nil
}

// filler links what puts a member into a value that was made here.
func (l *linker) filler(s ir.Stmt) (step, error) {
	switch s := s.(type) {
	case *ir.ArrayAppendStmt:
		value, err := l.operand(s.Value)
		return func(m *machine, at []*ast.Term) signal { return m.push(at[s.Array], value.get(at)) }, err
	case *ir.SetAddStmt:
		value, err := l.operand(s.Value)
		return func(m *machine, at []*ast.Term) signal { return m.add(at[s.Set], m.value(value, at)) }, err
	case *ir.ObjectInsertStmt:
		both, err := l.operands(s.Key, s.Value)
		return func(m *machine, at []*ast.Term) signal {
			return m.insert(at[s.Object], m.value(both[0], at), both[1].get(at), false)
		}, err
	case *ir.ObjectInsertOnceStmt:
		both, err := l.operands(s.Key, s.Value)
		return func(m *machine, at []*ast.Term) signal {
			return m.insert(at[s.Object], m.value(both[0], at), both[1].get(at), true)
		}, err
	}
	return nil, fmt.Errorf("%w: a %T", ErrUnsupported, s)
}

// alike reports whether two values are the same, written the same: which of 1 and 1.0 stays is the interpreter's to say.
func alike(a, b *ast.Term) bool {
	if a == nil || b == nil {
		return false
	}
	switch v := a.Value.(type) {
	case ast.Number:
		return v == b.Value
	case ast.String, ast.Boolean, ast.Null:
		return a.Equal(b)
	}
	return a == b || a.Equal(b) && a.String() == b.String()
}

// push appends to a list.
func (m *machine) push(to, value *ast.Term) signal {
	if to == nil || value == nil {
		return m.fail(errNothing)
	}
	switch list := to.Value.(type) {
	case *gathering:
		list.terms = append(list.terms, value)
	case *ast.Array:
		if m.made(value) == nil {
			return failed
		}
		to.Value = list.Append(value)
	default:
		return m.fail(errNothing)
	}
	return onward
}

// add puts a member into a set.
func (m *machine) add(to, value *ast.Term) signal {
	if to == nil || value == nil {
		return m.fail(errNothing)
	}
	set, ok := to.Value.(ast.Set)
	if !ok {
		return m.fail(errNothing)
	}
	set.Add(value)
	return onward
}

// insert puts a member into an object; once says that another value under its name is an error.
func (m *machine) insert(to, key, value *ast.Term, once bool) signal {
	if to == nil || key == nil || value == nil {
		return m.fail(errNothing)
	}
	if (unread(to) || unread(value)) && m.keep(to, key, value) {
		return onward
	}
	if m.made(to) == nil || m.made(value) == nil {
		return failed
	}
	object, ok := to.Value.(ast.Object)
	if !ok {
		return m.fail(errNothing)
	}
	if once {
		if old := object.Get(key); old != nil {
			if !alike(old, value) {
				return m.fail(errConflict)
			}
			return onward
		}
	}
	object.Insert(key, value)
	return onward
}
