package plan

import (
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Errors that end an evaluation. Whoever gets one asks the interpreter.
var (
	errConflict = errors.New("a rule or function has two values")
	errNothing  = errors.New("a step of the plan has nothing to work on")
	errSeveral  = errors.New("a built-in yields several values")
	errUnknown  = errors.New("there is no such entry")
)

// machine is one evaluation.
type machine struct {
	bctx   topdown.BuiltinContext
	known  []answer   // of each rule
	calls  []*answers // of each function with parameters
	stack  stack
	given  [8]*ast.Term
	answer *ast.Term
	err    error
	steps  int

	yielded *ast.Term             // by a built-in of OPA
	yield   func(*ast.Term) error // that it is given
}

// answer is what a rule said in this evaluation.
type answer struct {
	asked bool
	value *ast.Term // nil is undefined
}

// answers are what a function with parameters said.
type answers struct {
	calls []call
	index map[int][]int32
}

// call is what a function said of some arguments.
type call struct {
	hash  int
	args  []*ast.Term
	value *ast.Term
}

// indexed is how many calls of a function are looked through one by one.
const indexed = 16

// pace is how many steps are made between two questions whether to go on: about as much work as one step of the interpreter, which asks each time.
const pace = 16

// Eval evaluates entries for an input, which may be [Unread], at a time. An entry that is undefined is left out. It asks cancel, if there is one, whether to go on, and its built-ins are handed it; an error of a
// cancelled evaluation is one of which [topdown.IsCancel] is true.
func (p *Program) Eval(cancel topdown.Cancel, input ast.Value, now time.Time, entries []string) ([]*ast.Term, error) {
	m := p.machine()
	defer p.done(m)
	m.bctx.Cancel, m.bctx.Time = cancel, ast.NumberTerm(json.Number(strconv.FormatInt(now.UnixNano(), 10)))
	at := m.stack.frame(hidden)
	if at[1] = ast.NewTerm(p.data); input != nil {
		at[0] = ast.NewTerm(input)
	}
	args := []operand{{place: 0}, {place: 1}}
	out := make([]*ast.Term, len(entries))
	for i, name := range entries {
		fn := p.entries[name]
		if fn == nil {
			return nil, errUnknown
		}
		var s signal
		if fn.constant != nil {
			out[i] = fn.constant
		} else if out[i], s = m.rule(fn, args, at); s != onward || out[i] != nil && m.made(out[i]) == nil {
			return nil, m.err
		}
	}
	return out, nil
}

// machine is one that is at rest, or a new one.
func (p *Program) machine() *machine {
	if m, ok := p.rest.Get().(*machine); ok {
		return m
	}
	m := &machine{known: make([]answer, len(p.functions)), calls: make([]*answers, len(p.functions)), stack: newStack(192)}
	m.yield = m.take
	return m
}

// done lets a machine rest, with nothing of its evaluation. One that grew is not used again.
func (p *Program) done(m *machine) {
	if len(m.stack.pieces) > 1 {
		return
	}
	clear(m.known)
	clear(m.calls)
	clear(m.stack.pieces[0])
	*m = machine{known: m.known, calls: m.calls, stack: stack{pieces: m.stack.pieces}, yield: m.yield}
	p.rest.Put(m)
}

// take has the one value that a built-in yields.
func (m *machine) take(t *ast.Term) error {
	if m.yielded != nil {
		return errSeveral
	}
	m.yielded = t
	return nil
}

// fail ends the evaluation with an error, or with the one that it has already.
func (m *machine) fail(err error) signal {
	if m.err == nil {
		m.err = err
	}
	return failed
}

// goOn counts a step, and asks now and then whether to go on.
func (m *machine) goOn() bool {
	m.steps++
	return m.steps%pace != 0 || m.ask()
}

// ask asks whether to go on.
func (m *machine) ask() bool {
	if m.bctx.Cancel != nil && m.bctx.Cancel.Cancelled() {
		m.err = &topdown.Error{Code: topdown.CancelErr, Message: "caller cancelled query execution"}
		return false
	}
	return true
}

// stack is the places of all calls, in pieces: those of callers stay where they are.
type stack struct {
	pieces [][]*ast.Term
	piece  int // that is in use; what comes behind it is free
	used   int // of it
}

func newStack(places int) stack { return stack{pieces: [][]*ast.Term{make([]*ast.Term, places)}} }

// frame takes so many places. They are free again when the stack is put back to what it was.
func (s *stack) frame(places int) []*ast.Term {
	if s.used+places > len(s.pieces[s.piece]) {
		s.piece, s.used = s.piece+1, 0
		switch size := max(2*len(s.pieces[s.piece-1]), places); {
		case s.piece == len(s.pieces):
			s.pieces = append(s.pieces, make([]*ast.Term, size))
		case len(s.pieces[s.piece]) < places:
			s.pieces[s.piece] = make([]*ast.Term, size)
		}
	}
	at := s.pieces[s.piece][s.used : s.used+places : s.used+places]
	s.used += places
	clear(at)
	return at
}

// operands are the values of a few operands, until the next call: made, but for the first, so many, which may be unread. All of them have one, or the machine has the error.
func (m *machine) operands(list []operand, unread int, at []*ast.Term) []*ast.Term {
	values := m.given[:0]
	for i, o := range list {
		v := o.get(at)
		if v == nil {
			m.err = errNothing
			return nil
		}
		if i >= unread && m.made(v) == nil {
			return nil
		}
		values = append(values, v)
	}
	return values
}

// rule asks a rule, which answers once. A nil term is undefined.
func (m *machine) rule(fn *function, args []operand, at []*ast.Term) (*ast.Term, signal) {
	known := &m.known[fn.number]
	if known.asked {
		return known.value, onward
	}
	value, s := m.enter(fn, args, at)
	if s == onward {
		known.asked, known.value = true, value
	}
	return value, s
}

// call asks a function, which answers the same question once. A nil term is undefined.
func (m *machine) call(fn *function, args []operand, at []*ast.Term) (*ast.Term, signal) {
	if fn.light {
		return m.enter(fn, args, at)
	}
	hash := 0
	for _, o := range args[hidden:] {
		v := o.get(at)
		if v == nil {
			return nil, m.fail(errNothing)
		}
		hash = hash*31 + hashOf(v)
	}
	known := m.calls[fn.number]
	if known == nil {
		known = &answers{}
		m.calls[fn.number] = known
	} else if i := known.find(hash, args[hidden:], at); i >= 0 {
		return known.calls[i].value, onward
	}
	value, s := m.enter(fn, args, at)
	if s == onward {
		known.note(hash, args[hidden:], at, value)
	}
	return value, s
}

// enter runs a function in a frame of its own.
func (m *machine) enter(fn *function, args []operand, at []*ast.Term) (*ast.Term, signal) {
	if !m.goOn() {
		return nil, failed
	}
	piece, used := m.stack.piece, m.stack.used
	frame := m.stack.frame(fn.places)
	for i, p := range fn.params {
		frame[p] = args[i].get(at)
	}
	value, s := m.run(fn, frame)
	m.stack.piece, m.stack.used = piece, used
	return value, s
}

// run makes the steps of a function.
func (m *machine) run(fn *function, frame []*ast.Term) (*ast.Term, signal) {
	for _, b := range fn.blocks {
		switch m.block(b, frame) {
		case returned:
			return m.answer, onward
		case failed:
			return nil, failed
		}
	}
	return nil, onward
}

func (a *answers) find(hash int, args []operand, at []*ast.Term) int {
	if a.index == nil {
		for i := range a.calls {
			if a.calls[i].hash == hash && a.calls[i].same(args, at) {
				return i
			}
		}
		return -1
	}
	for _, i := range a.index[hash] {
		if a.calls[i].same(args, at) {
			return int(i)
		}
	}
	return -1
}

func (c *call) same(args []operand, at []*ast.Term) bool {
	for i, o := range args {
		if !identical(c.args[i], o.get(at)) {
			return false
		}
	}
	return true
}

func (a *answers) note(hash int, args []operand, at []*ast.Term, value *ast.Term) {
	c := call{hash: hash, args: make([]*ast.Term, len(args)), value: value}
	for i, o := range args {
		c.args[i] = o.get(at)
	}
	a.calls = append(a.calls, c)
	switch {
	case a.index != nil:
		a.index[hash] = append(a.index[hash], int32(len(a.calls)-1))
	case len(a.calls) > indexed:
		a.index = make(map[int][]int32, 4*indexed)
		for i := range a.calls {
			a.index[a.calls[i].hash] = append(a.index[a.calls[i].hash], int32(i))
		}
	}
}

func (m *machine) block(b block, at []*ast.Term) signal {
	for _, s := range b {
		if how := s(m, at); how != onward {
			return how
		}
	}
	return onward
}

// blocks makes blocks one after the other. What leaves one goes on behind it, what leaves more leaves what they stand in.
func (m *machine) blocks(list []block, at []*ast.Term) signal {
	for _, b := range list {
		switch s := m.block(b, at); {
		case s < 0:
			return s
		case s > undefined:
			return s - 1
		}
	}
	return onward
}

// scan makes a block for each member. What is no collection has none.
func (m *machine) scan(source *ast.Term, key, value int, inner block, at []*ast.Term) signal {
	if source == nil {
		return onward
	}
	if u, ok := source.Value.(*Unread); ok && u.List() {
		return m.scanUnread(u, key, value, inner, at)
	}
	if source = m.made(source); source == nil {
		return m.fail(errNothing)
	}
	switch v := source.Value.(type) {
	case *ast.Array:
		for i := range v.Len() {
			at[key], at[value] = ast.InternedTerm(i), v.Elem(i)
			if s := m.turn(inner, at); s < 0 {
				return s
			}
		}
	case ast.Set:
		for _, t := range v.Slice() {
			at[key], at[value] = t, t
			if s := m.turn(inner, at); s < 0 {
				return s
			}
		}
	case ast.Object:
		names := v.KeysIterator()
		for k, more := names.Next(); more; k, more = names.Next() {
			at[key], at[value] = k, v.Get(k)
			if s := m.turn(inner, at); s < 0 {
				return s
			}
		}
	}
	return onward
}

func (m *machine) turn(inner block, at []*ast.Term) signal {
	if !m.goOn() {
		return failed
	}
	return m.block(inner, at)
}
