package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// evaluate runs one prepared query: its outputs in their order, or why there are none.
type evaluate func(cancel topdown.Cancel, input *question, now time.Time) ([]*ast.Term, error)

// errUndefined says that an output has no value.
var errUndefined = errors.New("a result is undefined")

// evaluator wraps a prepared query of these outputs. Terms come back as they are: nothing that a policy built is converted before it was judged.
func evaluator(query rego.PreparedEvalQuery, outputs []string, more ...rego.EvalOption) evaluate {
	asTerm := rego.EvalGenerateJSON(func(t *ast.Term, _ *rego.EvalContext) (any, error) { return t, nil })
	return func(cancel topdown.Cancel, input *question, now time.Time) ([]*ast.Term, error) {
		reserve(false)
		value, err := input.Made()
		if err != nil {
			return nil, err
		}
		options := append([]rego.EvalOption{rego.EvalParsedInput(value), rego.EvalTime(now), rego.EvalExternalCancel(cancel), asTerm}, more...)
		results, err := query.Eval(context.Background(), options...)
		if err != nil {
			return nil, err
		}
		if len(results) != 1 {
			return nil, errUndefined
		}
		out := make([]*ast.Term, len(outputs))
		for i, name := range outputs {
			term, ok := results[0].Bindings[name].(*ast.Term)
			if !ok {
				return nil, errUndefined
			}
			out[i] = term
		}
		return out, nil
	}
}

// errTimeout and errPanic end an evaluation that did not answer.
var (
	errTimeout = errors.New("it did not answer in time")
	errPanic   = errors.New("it failed inside the engine")
)

// Limits of one evaluation.
const (
	defaultDeadline = 50 * time.Millisecond
	hardDeadline    = 2 * time.Second // of a whole decision, whatever is configured
	// fewSteps is how many steps an evaluation may still make after its deadline: a machine that is busy elsewhere is no reason to refuse, and whoever
	// made so few steps by then was not running.
	fewSteps = 10_000
	// maxStrays is how many evaluations that could not be stopped are borne before the set refuses to start more.
	maxStrays = 4
)

// budget is asked by the interpreter before every step whether to go on. It implements topdown.Cancel.
type budget struct {
	steps   atomic.Int64
	late    atomic.Bool // the deadline has passed
	stopped atomic.Bool

	aids aids // what the evaluation may open and ask
}

func (b *budget) Cancel() { b.stopped.Store(true) }

func (b *budget) Cancelled() bool {
	return b.steps.Add(1) > fewSteps && b.late.Load() || b.stopped.Load()
}

// answer is what an evaluation ended with.
type answer struct {
	outputs []*ast.Term
	err     error
	stack   []byte
}

// runner runs evaluations within their limits.
type runner struct {
	deadline time.Duration
	hard     time.Duration
	strays   atomic.Int32 // evaluations that were given up and still run
}

// run evaluates in a goroutine of its own, because a single call of a built-in cannot be interrupted: the decision does not wait for it, and it is
// counted until it ends. ctx ends the evaluation with ctx's error.
func (r *runner) run(ctx context.Context, eval evaluate, input *question, help aids, now time.Time) answer {
	if n := r.strays.Load(); n >= maxStrays {
		return answer{err: fmt.Errorf("%w: %d earlier evaluations could not be stopped and still run", errTimeout, n)}
	}
	cancel := &budget{aids: help}
	done := make(chan answer, 1)
	var state atomic.Int32
	go func() {
		begin(false)
		done <- contain(eval, cancel, input, now)
		if !state.CompareAndSwap(running, ended) {
			r.strays.Add(-1)
		}
	}()
	timer := time.NewTimer(min(r.deadline, r.hard)) // for both deadlines, one after the other
	defer timer.Stop()
	for {
		select {
		case a := <-done:
			if ctx.Err() != nil && a.err != nil {
				a.err = ctx.Err()
			}
			return a
		case <-timer.C:
			if !cancel.late.Swap(true) && r.deadline < r.hard {
				timer.Reset(r.hard - r.deadline)
				continue
			}
			cancel.Cancel()
			r.abandon(&state)
			return answer{err: errTimeout}
		case <-ctx.Done():
			cancel.Cancel()
			r.abandon(&state)
			return answer{err: ctx.Err()}
		}
	}
}

// stackRoom is a quarter of what the interpreter needs of stack for a policy that calls functions of functions: a variable that is larger is no part of a frame.
const stackRoom = 124 << 10

// reserve lets the stack of a new goroutine grow once, while it is empty: its frame is large whether or not it is used, and what nobody touches costs nothing. The interpreter
// nests deeply, and growing on its way, with a copy of all frames at each doubling, was 40 % of a decision.
//
//go:noinline
func reserve(use bool) {
	if use {
		var a, b, c, d [stackRoom]byte
		runtime.KeepAlive(&a)
		runtime.KeepAlive(&b)
		runtime.KeepAlive(&c)
		runtime.KeepAlive(&d)
	}
}

// begin is as reserve, for a plan, which nests a little.
//
//go:noinline
func begin(use bool) {
	if use {
		var a [12 << 10]byte
		runtime.KeepAlive(&a)
	}
}

// States of an evaluation: it leaves running once, and whoever comes second takes the count back.
const (
	running int32 = iota
	ended
	abandoned
)

// abandon counts an evaluation as a stray until it ends.
func (r *runner) abandon(state *atomic.Int32) {
	r.strays.Add(1)
	if !state.CompareAndSwap(running, abandoned) {
		r.strays.Add(-1)
	}
}

// contain turns a panic into an answer.
func contain(eval evaluate, cancel topdown.Cancel, input *question, now time.Time) (a answer) {
	defer func() {
		if v := recover(); v != nil {
			a = answer{err: fmt.Errorf("%w: %v", errPanic, v), stack: debug.Stack()}
		}
	}()
	outputs, err := eval(cancel, input, now)
	if topdown.IsCancel(err) {
		err = errTimeout
	}
	return answer{outputs: outputs, err: err}
}
