package plan

import (
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// step does one thing and says how it goes on.
type step func(m *machine, at []*ast.Term) signal

// block is steps in order, until one says otherwise.
type block []step

// signal says how it goes on. A positive one leaves so many blocks; one of them is what "undefined" comes to.
type signal int

const (
	onward    signal = 0
	undefined signal = 1
	returned  signal = -1
	failed    signal = -2 // the machine has the error
)

// linker makes functions of plans.
type linker struct {
	strings   []*ast.Term
	functions map[string]*function
	builtins  Builtins
	external  map[string]bool // built-ins that the plan names

	spare  int              // the first place of the function that its plan does not use
	result ir.Local         // where the function's value is made, by several blocks
	filled map[ir.Local]int // of the block of the function that is linked: how many statements put something into a place,
	read   map[ir.Local]int // and how many look at it
}

// operand is a place or a constant.
type operand struct {
	place int
	term  *ast.Term
}

func (o operand) get(at []*ast.Term) *ast.Term {
	if o.term != nil {
		return o.term
	}
	return at[o.place]
}

func (l *linker) operand(o ir.Operand) (operand, error) {
	switch v := o.Value.(type) {
	case ir.Local:
		return operand{place: int(v)}, nil
	case ir.StringIndex:
		return operand{term: l.strings[v]}, nil
	case *ir.StringIndex:
		return operand{term: l.strings[*v]}, nil
	case *ir.Local:
		return operand{place: int(*v)}, nil
	case ir.Bool:
		return operand{term: ast.InternedTerm(bool(v))}, nil
	case *ir.Bool:
		return operand{term: ast.InternedTerm(bool(*v))}, nil
	}
	return operand{}, fmt.Errorf("%w: an operand %T", ErrUnsupported, o.Value)
}

func (l *linker) operands(list ...ir.Operand) ([]operand, error) {
	out := make([]operand, len(list))
	for i, o := range list {
		var err error
		if out[i], err = l.operand(o); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (l *linker) function(fn *function, f *ir.Func) error {
	fn.params = make([]int, len(f.Params))
	if len(f.Params) < hidden {
		return fmt.Errorf("%w: a function without input and data", ErrUnsupported)
	}
	for i, p := range f.Params {
		fn.params[i] = int(p)
	}
	l.result = f.Return
	l.spare = int(max(f.Return, slices.Max(f.Params))) + 1
	for _, b := range f.Blocks {
		l.spare = max(l.spare, highest(b.Stmts)+1)
	}
	if err := sureTests(f); err != nil {
		return err
	}
	for _, b := range f.Blocks {
		if err := soleMakers(b.Stmts); err != nil {
			return err
		}
		l.filled, l.read = counts(b.Stmts)
		linked, err := l.block(b.Stmts, 1)
		if err != nil {
			return err
		}
		fn.blocks = append(fn.blocks, linked)
	}
	fn.places, fn.light = l.spare, true
	for _, b := range f.Blocks {
		fn.light = fn.light && each(b.Stmts, l.light)
	}
	l.fold(fn, f)
	return nil
}

// light reports whether a statement takes no time: it neither loops, nor calls functions with parameters, which may call others, nor built-ins that do much.
func (l *linker) light(s ir.Stmt, _ touched) bool {
	switch s := s.(type) {
	case *ir.ScanStmt:
		return false
	case *ir.CallStmt:
		if called := l.functions[s.Func]; called != nil {
			return len(called.params) == hidden
		}
		return quickly(s.Func)
	}
	return true
}

// block links statements. Depth is how many blocks a break may leave.
func (l *linker) block(stmts []ir.Stmt, depth int) (block, error) {
	literals, err := l.literals(stmts)
	if err != nil {
		return nil, err
	}
	var out block
	for i := 0; i < len(stmts); {
		steps, n := l.constants(stmts[i:])
		if written := literals[stmts[i]]; n == 0 && written != nil {
			steps, n = block{written}, 1
		}
		if n == 0 {
			if steps, n, err = l.valued(stmts[i:]); err != nil {
				return nil, err
			}
		}
		if n == 0 {
			if steps, n, err = l.gathered(stmts[i:], depth); err != nil {
				return nil, err
			}
		}
		if n == 0 {
			one, err := l.statement(stmts[i], depth)
			if err != nil {
				return nil, err
			}
			steps, n = block{one}, 1
		}
		for _, s := range steps {
			if s != nil {
				out = append(out, s)
			}
		}
		i += n
	}
	return out, nil
}

// statement links one statement; nil where there is nothing to do.
func (l *linker) statement(s ir.Stmt, depth int) (step, error) {
	switch s := s.(type) {
	case *ir.NopStmt:
		return nil, nil
	case *ir.BlockStmt, *ir.BreakStmt, *ir.NotStmt, *ir.ScanStmt, *ir.ReturnLocalStmt:
		return l.flow(s, depth)
	case *ir.CallStmt:
		return l.call(s)
	case *ir.AssignIntStmt, *ir.AssignVarStmt, *ir.AssignVarOnceStmt, *ir.ResetLocalStmt, *ir.DotStmt, *ir.LenStmt:
		return l.assignment(s)
	case *ir.EqualStmt, *ir.NotEqualStmt, *ir.IsArrayStmt, *ir.IsObjectStmt, *ir.IsSetStmt, *ir.IsDefinedStmt, *ir.IsUndefinedStmt:
		return l.test(s)
	case *ir.MakeNullStmt, *ir.MakeNumberIntStmt, *ir.MakeNumberRefStmt, *ir.MakeArrayStmt, *ir.MakeObjectStmt, *ir.MakeSetStmt:
		return l.maker(s)
	case *ir.ArrayAppendStmt, *ir.ObjectInsertStmt, *ir.ObjectInsertOnceStmt, *ir.SetAddStmt:
		return l.filler(s)
	}
	return nil, fmt.Errorf("%w: a %T", ErrUnsupported, s)
}

// flow links what has blocks or leaves them.
func (l *linker) flow(s ir.Stmt, depth int) (step, error) {
	switch s := s.(type) {
	case *ir.BreakStmt:
		leave := signal(s.Index) + 1
		if int(leave) > depth {
			return nil, fmt.Errorf("%w: a break out of a loop", ErrUnsupported)
		}
		return func(*machine, []*ast.Term) signal { return leave }, nil
	case *ir.ReturnLocalStmt:
		place := int(s.Source)
		return func(m *machine, at []*ast.Term) signal {
			m.answer = at[place]
			return returned
		}, nil
	case *ir.BlockStmt:
		inner := make([]block, len(s.Blocks))
		for i, b := range s.Blocks {
			var err error
			if inner[i], err = l.block(b.Stmts, depth+1); err != nil {
				return nil, err
			}
		}
		return func(m *machine, at []*ast.Term) signal { return m.blocks(inner, at) }, nil
	case *ir.NotStmt:
		inner, err := l.block(s.Block.Stmts, 1)
		held := conditions(s.Block.Stmts)
		return func(m *machine, at []*ast.Term) signal {
			for _, place := range held { // the planner leaves there what the turn before found
				at[place] = nil
			}
			switch s := m.block(inner, at); s {
			case onward:
				return undefined
			case undefined:
				return onward
			default:
				return s
			}
		}, err
	case *ir.ScanStmt:
		inner, err := l.block(s.Block.Stmts, 1)
		source, key, value := int(s.Source), int(s.Key), int(s.Value)
		return func(m *machine, at []*ast.Term) signal { return m.scan(at[source], key, value, inner, at) }, err
	}
	return nil, fmt.Errorf("%w: a %T", ErrUnsupported, s)
}

// call links a call of a function or a built-in.
func (l *linker) call(s *ir.CallStmt) (step, error) {
	args, err := l.operands(s.Args...)
	if err != nil {
		return nil, err
	}
	result := int(s.Result)
	if fn := l.functions[s.Func]; fn != nil {
		if len(args) != len(fn.params) {
			return nil, fmt.Errorf("%w: %s is called with %d arguments", ErrUnsupported, fn.name, len(args))
		}
		if fn.constant != nil {
			return func(_ *machine, at []*ast.Term) signal {
				at[result] = fn.constant
				return onward
			}, nil
		}
		ask := (*machine).call
		if len(args) == hidden {
			ask = (*machine).rule
		}
		return func(m *machine, at []*ast.Term) signal {
			var s signal
			if at[result], s = ask(m, fn, args, at); s == onward && at[result] == nil {
				return undefined
			}
			return s
		}, nil
	}
	answer := l.builtin(s.Func)
	if answer == nil || !l.external[s.Func] {
		return nil, fmt.Errorf("%w: there is no function %s", ErrUnsupported, s.Func)
	}
	return answering(answer, args, result, quickly(s.Func), l.builtins.Unread[s.Func]), nil
}

// quickly reports whether a built-in takes no longer than a step, unless values are large. What takes longer is not called without having asked whether to go on.
func quickly(name string) bool {
	return comparison(name) != nil || slices.Contains([]string{ast.Count.Name, ast.ObjectGet.Name, ast.IsObject.Name, ast.IsString.Name, ast.IsArray.Name, ast.Member.Name, ast.StartsWith.Name}, name)
}

// answering calls a built-in.
func answering(answer func(*machine, []*ast.Term) (*ast.Term, error), args []operand, result int, quick bool, unread int) step {
	goOn := (*machine).ask
	if quick {
		goOn = (*machine).goOn
	}
	return func(m *machine, at []*ast.Term) signal {
		operands := m.operands(args, unread, at)
		if operands == nil || !goOn(m) {
			return failed
		}
		var err error
		if at[result], err = answer(m, operands); err != nil {
			return m.fail(err)
		}
		if at[result] == nil {
			return undefined
		}
		return onward
	}
}

// valued links a call of which only the value is wanted: the call, a variable for its answer, and the reference to the value in it.
func (l *linker) valued(stmts []ir.Stmt) (block, int, error) {
	if len(stmts) < 3 {
		return nil, 0, nil
	}
	call, ok1 := stmts[0].(*ir.CallStmt)
	assign, ok2 := stmts[1].(*ir.AssignVarStmt)
	dot, ok3 := stmts[2].(*ir.DotStmt)
	if !ok1 || !ok2 || !ok3 || l.builtins.Value[call.Func] == nil || l.functions[call.Func] != nil || !l.external[call.Func] {
		return nil, 0, nil
	}
	args, err := l.operands(call.Args...)
	if err != nil {
		return nil, 0, err
	}
	more, err := l.operands(assign.Source, dot.Source, dot.Key)
	if err != nil {
		return nil, 0, err
	}
	answer, variable, name := more[0], more[1], more[2].term
	if answer.place != int(call.Result) || variable.place != int(assign.Target) || answer.term != nil || variable.term != nil || name == nil || !name.Equal(ast.InternedTerm("value")) ||
		l.read[call.Result] != 1 || l.read[assign.Target] != 1 {
		return nil, 0, nil
	}
	value := l.builtins.Value[call.Func]
	return block{answering(func(m *machine, operands []*ast.Term) (*ast.Term, error) { return value(&m.bctx, operands) }, args, int(dot.Target), false, l.builtins.Unread[call.Func])}, 3, nil
}

// builtin finds a built-in by its name.
func (l *linker) builtin(name string) func(*machine, []*ast.Term) (*ast.Term, error) {
	if b := l.builtins.Whole[name]; b != nil {
		return func(m *machine, operands []*ast.Term) (*ast.Term, error) { return b(&m.bctx, operands) }
	}
	if b := comparison(name); b != nil {
		return b
	}
	inner := topdown.GetBuiltin(name)
	if inner == nil {
		return nil
	}
	return func(m *machine, operands []*ast.Term) (*ast.Term, error) {
		m.yielded = nil
		err := inner(m.bctx, operands, m.yield)
		return m.yielded, err
	}
}

// comparison is a built-in that compares two values, as OPA's do.
func comparison(name string) func(*machine, []*ast.Term) (*ast.Term, error) {
	compare := func(holds func(int) bool) func(*machine, []*ast.Term) (*ast.Term, error) {
		return func(_ *machine, o []*ast.Term) (*ast.Term, error) {
			return ast.InternedTerm(holds(ast.Compare(o[0].Value, o[1].Value))), nil
		}
	}
	switch name {
	case ast.Equal.Name:
		return compare(func(c int) bool { return c == 0 })
	case ast.NotEqual.Name:
		return compare(func(c int) bool { return c != 0 })
	case ast.LessThan.Name:
		return compare(func(c int) bool { return c < 0 })
	case ast.LessThanEq.Name:
		return compare(func(c int) bool { return c <= 0 })
	case ast.GreaterThan.Name:
		return compare(func(c int) bool { return c > 0 })
	case ast.GreaterThanEq.Name:
		return compare(func(c int) bool { return c >= 0 })
	}
	return nil
}
