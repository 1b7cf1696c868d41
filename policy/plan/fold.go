package plan

import (
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
)

// What is the same in every evaluation is made once, and shared by all: values of OPA may be read by many at once.

// maxCuts is how often the beginning of a long run is tried again.
const maxCuts = 4

// constants links a run of statements at the beginning that make constant collections and nothing else. n is how many; 0 if there is nothing to gain.
func (l *linker) constants(stmts []ir.Stmt) (steps block, n int) {
	limit := len(stmts)
	for range maxCuts {
		r := run{linker: l, values: map[ir.Local]*ast.Term{}, filled: map[ir.Local]int{}}
		length := r.build(stmts[:limit])
		if cut := r.unfinished(stmts[:length]); cut < length {
			limit = cut // what is made here is filled elsewhere, too
			continue
		}
		for _, place := range r.order {
			if _, ok := size(r.values[place]); ok {
				n = length
			}
			steps = append(steps, constant(int(place), r.values[place]))
		}
		break
	}
	if n == 0 {
		return nil, 0
	}
	return steps, n
}

// run is statements in a row that make constants.
type run struct {
	*linker
	values map[ir.Local]*ast.Term
	order  []ir.Local
	filled map[ir.Local]int
}

// build makes what the statements make, and says how many it took.
func (r *run) build(stmts []ir.Stmt) int {
	for i, s := range stmts {
		if place, ok := made(s); ok {
			if r.values[place] != nil {
				return i
			}
			_, term := r.scalar(s)
			if term == nil {
				term = &ast.Term{Value: emptyOf(s)}
			}
			r.values[place], r.order = term, append(r.order, place)
			continue
		}
		t := usage(s)
		if len(t.fills) == 0 || r.values[t.fills[0]] == nil {
			return i
		}
		for _, p := range t.reads {
			if r.values[p] == nil {
				return i
			}
		}
		if !r.fill(s, r.values[t.fills[0]]) {
			return i
		}
		r.filled[t.fills[0]]++
	}
	return len(stmts)
}

// fill puts one member into a constant.
func (r *run) fill(s ir.Stmt, to *ast.Term) bool {
	m := &machine{}
	value := func(o ir.Operand) *ast.Term {
		linked, err := r.operand(o)
		if err != nil || linked.term != nil {
			return linked.term
		}
		return r.values[ir.Local(linked.place)]
	}
	switch s := s.(type) {
	case *ir.ArrayAppendStmt:
		return m.push(to, value(s.Value)) == onward
	case *ir.SetAddStmt:
		return m.add(to, value(s.Value)) == onward
	case *ir.ObjectInsertStmt:
		return m.insert(to, value(s.Key), value(s.Value), false) == onward
	case *ir.ObjectInsertOnceStmt:
		return m.insert(to, value(s.Key), value(s.Value), true) == onward
	}
	return false
}

// unfinished is the first of the statements that makes a collection which others fill as well, or the function's value; their number if there is none.
func (r *run) unfinished(stmts []ir.Stmt) int {
	for i, s := range stmts {
		if place, ok := emptied(s); ok && (place == r.result || r.linker.filled[place] != r.filled[place]) {
			return i
		}
	}
	return len(stmts)
}

func emptyOf(s ir.Stmt) ast.Value {
	switch s.(type) {
	case *ir.MakeArrayStmt:
		return ast.NewArray()
	case *ir.MakeObjectStmt:
		return ast.NewObject()
	}
	return ast.NewSet()
}

// fold finds out what a rule yields that depends on nothing.
func (l *linker) fold(fn *function, f *ir.Func) {
	if len(fn.params) != hidden {
		return
	}
	for _, b := range f.Blocks {
		if !each(b.Stmts, func(s ir.Stmt, t touched) bool { return l.independent(fn, s, t) }) {
			return
		}
	}
	m := &machine{stack: newStack(fn.places)}
	if value, s := m.run(fn, m.stack.frame(fn.places)); s == onward {
		fn.constant = value
	}
}

// independent reports whether a statement neither reads input or data, nor calls what does, nor takes long.
func (l *linker) independent(fn *function, s ir.Stmt, t touched) bool {
	switch s := s.(type) {
	case *ir.ScanStmt:
		return false
	case *ir.CallStmt:
		called := l.functions[s.Func]
		return called != nil && called.constant != nil
	}
	for _, p := range t.reads {
		if int(p) == fn.params[0] || int(p) == fn.params[1] {
			return false
		}
	}
	return true
}

// gathering is a list on its way to being an array, which only grows by copies. Nothing else sees it.
type gathering struct {
	ast.Null
	terms []*ast.Term
}

// gathered links the beginning of an array comprehension: what makes the array, and the block that fills it.
func (l *linker) gathered(stmts []ir.Stmt, depth int) (block, int, error) {
	if len(stmts) < 2 {
		return nil, 0, nil
	}
	start, ok := stmts[0].(*ir.MakeArrayStmt)
	body, loops := stmts[1].(*ir.BlockStmt)
	if !ok || !loops || start.Capacity > 0 {
		return nil, 0, nil
	}
	inner, err := l.flow(body, depth)
	if err != nil {
		return nil, 0, err
	}
	place := int(start.Target)
	return block{func(m *machine, at []*ast.Term) signal {
		list := &gathering{}
		at[place] = &ast.Term{Value: list}
		if s := inner(m, at); s != onward {
			return s
		}
		at[place] = NewList(list.terms)
		return onward
	}}, 2, nil
}

// literals finds the arrays that are written out among these statements, and links what makes them: the members wait in places of their own until the last is there.
func (l *linker) literals(stmts []ir.Stmt) (map[ir.Stmt]step, error) {
	started, members := map[ir.Local]*ir.MakeArrayStmt{}, map[ir.Local][]*ir.ArrayAppendStmt{}
	for _, s := range stmts {
		switch s := s.(type) {
		case *ir.MakeArrayStmt:
			started[s.Target], members[s.Target] = s, nil
		case *ir.ArrayAppendStmt:
			members[s.Array] = append(members[s.Array], s)
		}
	}
	found := map[ir.Stmt]step{}
	for place, start := range started {
		list := members[place]
		if n := len(list); n == 0 || n != int(start.Capacity) || n != l.filled[place] {
			continue
		}
		first := l.spare
		l.spare += len(list)
		found[start] = func(*machine, []*ast.Term) signal { return onward }
		for n, a := range list {
			value, err := l.operand(a.Value)
			if err != nil {
				return nil, err
			}
			found[a] = member(value, first, n, len(list), int(a.Array))
		}
	}
	return found, nil
}

// member keeps one member of an array, and makes the array with the last.
func member(value operand, first, n, all, target int) step {
	return func(m *machine, at []*ast.Term) signal {
		v := value.get(at)
		if v == nil {
			return m.fail(errNothing)
		}
		if at[first+n] = v; n == all-1 {
			at[target] = NewList(append([]*ast.Term(nil), at[first:first+all]...))
		}
		return onward
	}
}
