package engine

import (
	"context"
	"strings"

	"github.com/assay-registry/assay/policies"
)

// Rehearsal tries policies where nothing is lost if that ends the process, and says what is wrong with those that did. An error is no answer, and refuses the set as well.
type Rehearsal func(ctx context.Context, list []Policy) ([]Problem, error)

// Rehearse does with a policy all that a server does before it evaluates: it compiles and plans it. What is wrong with it is not asked, only whether this comes to an end: there are texts
// on which OPA's compiler overflows its stack, which ends a Go program, or goes on for years. So it is called in a process of its own.
func Rehearse(ctx context.Context, p Policy) {
	prog, problems := compile(ctx, p, capabilities())
	if len(problems) > 0 || prog.planner == nil {
		return
	}
	defer func() { _ = recover() }() // which a server contains, too
	_ = prog.planner.make(ctx)       // what cannot be planned is interpreted
}

// Shipped reports whether a policy is one of those that are shipped, by its text: it has been compiled before.
func Shipped(p Policy) bool {
	for file, text := range p.Source {
		shipped, ok := policies.Builtin(strings.TrimSuffix(file, ".rego"))
		return ok && shipped == text && len(p.Source) == 1
	}
	return false
}

func (o Options) rehearsed(ctx context.Context, list []Policy) ([]Problem, error) {
	if o.Rehearse == nil {
		return nil, nil
	}
	return o.Rehearse(ctx, list)
}
