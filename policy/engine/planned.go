package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/assay-registry/assay/policy/bounded"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/plan"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// planAfter is how many evaluations of a policy are the interpreter's before it is planned: to make a plan takes as long as a few hundred of them, and who asks once, or starts with many policies, need not wait.
const planAfter = 32

// planner plans a policy once, when it is asked often. Its modules are parsed again for that: who keeps them keeps them mostly for nothing.
type planner struct {
	asked   atomic.Uint32
	program *program
	caps    *ast.Capabilities
}

func (p *planner) make(ctx context.Context) error {
	modules, problems := parse(p.program.Policy, p.caps)
	if len(problems) > 0 {
		return &CompileError{Problems: problems}
	}
	return p.program.quicken(ctx, modules, p.caps)
}

// note counts an evaluation, and plans the policy where it is time: whoever asks then waits for it, and others go on with the interpreter.
func (p *planner) note(ctx context.Context) (err error) {
	if p == nil || p.asked.Load() > planAfter || p.asked.Add(1) != planAfter {
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: %v", errPanic, v)
		}
	}()
	return p.make(context.WithoutCancel(ctx))
}

// quicken has the entry points of a program evaluated by plans, each with the interpreter behind it: what a plan does not yield, the interpreter decides. An entry point that cannot be planned
// stays with the interpreter.
func (p *program) quicken(ctx context.Context, modules map[string]*ast.Module, caps *ast.Capabilities) error {
	names := slices.Sorted(maps.Keys(p.entries))
	err := p.quickened(ctx, modules, caps, names)
	if !errors.Is(err, plan.ErrUnsupported) {
		return err
	}
	for i := range names { // what one entry point has need not hold up the others
		if err := p.quickened(ctx, modules, caps, names[i:i+1]); err != nil && !errors.Is(err, plan.ErrUnsupported) {
			return err
		}
	}
	return nil
}

// quickened plans some entry points together.
func (p *program) quickened(ctx context.Context, modules map[string]*ast.Module, caps *ast.Capabilities, names []contract.Entry) error {
	var all []ast.Ref
	outputs := map[contract.Entry][]string{}
	for _, name := range names {
		for _, output := range p.entries[name].outputs {
			ref := append(entryRef(name), ast.StringTerm(output))
			all, outputs[name] = append(all, ref), append(outputs[name], ref.String())
		}
	}
	planned, err := plan.Compile(ctx, modules, caps, all, plan.Builtins{Whole: planBuiltins(), Value: valueBuiltins(), Unread: unreadBuiltins()})
	if err != nil {
		return err
	}
	for _, name := range names {
		e := p.entries[name]
		e.planned.Store(&second{evaluate: e.quick(planned, outputs[name])})
	}
	return nil
}

// quick evaluates by a plan, and has the interpreter decide where that ends in an error: it is the one that is tried and known, and its error is the one that people read.
func (e *entry) quick(planned *plan.Program, names []string) evaluate {
	return func(cancel topdown.Cancel, input *question, now time.Time) ([]*ast.Term, error) {
		outputs, err := planned.Eval(cancel, plan.NewUnread(input).Value, now, names)
		if err != nil && !topdown.IsCancel(err) {
			return e.interpret(cancel, input, now)
		}
		if err == nil && slices.Contains(outputs, nil) {
			err = errUndefined
		}
		return outputs, err
	}
}

// planBuiltins are OPA's as plans call them, and our own.
func planBuiltins() map[string]plan.Builtin {
	all := bounded.ForPlans()
	for _, o := range ownBuiltins() {
		all[o.name] = func(bctx *topdown.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
			return o.call(*bctx, operands)
		}
	}
	return all
}

// valueBuiltins are our own where a policy asks for the value of the answer and nothing else.
func valueBuiltins() map[string]plan.Builtin {
	all := map[string]plan.Builtin{}
	for _, o := range ownBuiltins() {
		all[o.name] = func(bctx *topdown.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
			return o.value(*bctx, operands)
		}
	}
	return all
}

// unreadBuiltins are those of which the first operands, so many, may be unread.
func unreadBuiltins() map[string]int {
	all := bounded.Unread()
	for _, o := range ownBuiltins() {
		if o.unread > 0 {
			all[o.name] = o.unread
		}
	}
	return all
}
