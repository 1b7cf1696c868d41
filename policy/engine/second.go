package engine

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/assay-registry/assay/store"
	"github.com/open-policy-agent/opa/v1/ast"
)

// secondEvery is of how many evaluations by a plan the interpreter makes one as well; the first is always among them. One more in 256 costs half a microsecond each.
const secondEvery = 256

// maxSilent is how often in a row an interpreter that said nothing is asked again at the next evaluation, and not after secondEvery: what is too slow once is so mostly.
const maxSilent = 4

// second is a plan, and whether it is to be believed: the interpreter is asked now and then, and where it says something else the plan is not asked any more.
type second struct {
	evaluate evaluate
	asked    atomic.Uint64
	apart    atomic.Bool

	silent atomic.Uint32 // how often in a row the interpreter said nothing
	owed   atomic.Bool   // it is to be asked at the next evaluation
}

// due counts an evaluation, and reports whether the interpreter is to make it, too.
func (s *second) due() bool { return s.asked.Add(1)%secondEvery == 1 || s.owed.Swap(false) }

// unanswered counts that the interpreter said nothing, which is no difference.
func (s *second) unanswered() {
	if s.silent.Add(1) <= maxSilent {
		s.owed.Store(true)
	}
}

// run is how this entry point is evaluated now.
func (e *entry) run() evaluate {
	if plan := e.planned.Load(); plan != nil && !plan.apart.Load() {
		return plan.evaluate
	}
	return e.evaluate
}

// confirmed is the answer of a plan, or that of the interpreter where it was asked and says something else. One that does not answer says nothing, and is asked again.
func (s *Set) confirmed(ctx context.Context, p *program, e *entry, doc *document, help aids, a answer) answer {
	plan := e.planned.Load()
	if plan == nil || a.err != nil || plan.apart.Load() || !plan.due() {
		return a
	}
	other := s.evaluate(ctx, e.interpret, p, e, doc, help.again(ctx, doc))
	if ctx.Err() != nil || passing(other.err) {
		plan.unanswered()
		return a
	}
	if plan.silent.Store(0); other.err == nil && slices.EqualFunc(a.outputs, other.outputs, (*ast.Term).Equal) {
		return a
	}
	plan.apart.Store(true)
	s.log.ErrorContext(ctx, "a plan and the interpreter of OPA disagree; from now on the interpreter decides alone, please report this policy", "policy", p.Name, "entry", string(e.name),
		"repository", string(doc.in.Subject.Repository), "digest", string(doc.in.Subject.Digest))
	return other
}

// passing reports whether an error is of the moment, and says nothing of the policy: a deadline, a caller that left, a store that does not answer now.
func passing(err error) bool {
	return errors.Is(err, errTimeout) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || store.CodeOf(err) == store.CodeUnavailable
}

// again is the same for another evaluation, which is answered as the first was: what the index says may be something else by now. What the first found is located for it alone.
func (h aids) again(ctx context.Context, doc *document) aids {
	if first := h.predicates; first != nil {
		h.predicates = newPredicates(ctx, &doc.in)
		h.predicates.opened, h.predicates.values = maps.Clone(first.opened), first.values
	}
	if first := h.packages; first != nil {
		h.packages = newPackages(ctx, &doc.in)
		h.packages.asked = maps.Clone(first.asked)
	}
	return h
}
