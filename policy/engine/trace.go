package engine

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/assay-registry/assay/policies"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
)

// Limits of a trace.
const (
	maxTraceNodes    = 2000 // of one policy
	maxTraceChildren = 64   // shown of one node
	maxTraceDepth    = 32
	maxTraceEvents   = 500_000
	maxTraceText     = 160 // characters of an expression
	maxTraceValue    = 160
	maxNearest       = 5
	traceDeadline    = hardDeadline // evaluating with a trace takes about ten times as long
)

// Trace implements contract.Tracer.
func (s *Set) Trace(ctx context.Context, in *contract.Input) (*contract.Decision, []contract.TraceNode, error) {
	d, err := s.Decide(ctx, in)
	if err != nil {
		return nil, nil, err
	}
	doc := newDocument(s.encoder, in)
	var nodes []contract.TraceNode
	for _, p := range s.programs {
		e := p.entries[in.Request.Entry]
		if e == nil || !p.Repositories.Match(in.Subject.Repository) {
			continue
		}
		n, err := s.trace(ctx, p, e, doc)
		if err != nil {
			return nil, nil, err
		}
		nodes = append(nodes, *n)
	}
	slices.SortStableFunc(nodes, func(x, y contract.TraceNode) int { return cmp.Compare(truth(x.Holds), truth(y.Holds)) })
	return d, nodes, nil
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// trace evaluates one entry point of one policy with a recorder.
func (s *Set) trace(ctx context.Context, p *program, e *entry, doc *document) (*contract.TraceNode, error) {
	n := &contract.TraceNode{Kind: contract.TracePolicy, Text: p.Name + " (" + string(p.Mode) + ")"}
	asked := doc.question(e.reads, p.params)
	input, err := asked.Made()
	if err != nil {
		return nil, err
	}
	r := &recorder{input: input, frames: map[uint64]*frame{}, root: &step{}, lines: map[string][]string{}, text: func(file string) string {
		if file == libraryFile {
			return policies.Library()
		}
		return p.Source[file]
	}}
	help := aids{recorder: r}
	if e.reads.Predicates {
		help.predicates = newPredicates(ctx, &doc.in)
	}
	if e.reads.Packages {
		help.packages = newPackages(ctx, &doc.in)
		help.packages.slow = true
	}
	slow := runner{deadline: traceDeadline, hard: 2 * traceDeadline}
	a := slow.run(ctx, func(cancel topdown.Cancel, input *question, now time.Time) ([]*ast.Term, error) {
		r.cancel = cancel
		return e.traced(cancel, input, now, r)
	}, asked, help, doc.in.Request.Time)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if a.err != nil {
		n.Value = "it gave no answer"
		if !r.stopped.Load() && slow.strays.Load() > 0 {
			return n, nil // what still runs still records
		}
	} else {
		o, err := decode(a.outputs, e.outputs, doc.in.Request.Time)
		n.Holds = err == nil && len(o.deny) == 0
	}
	left := maxTraceNodes
	n.Children, n.More = r.root.nodes(&left, 0)
	n.Nearest = r.nearest(n.Holds)
	return n, nil
}

// tracing makes of a prepared query an evaluation that tells a recorder. Rules that an index would skip are evaluated too: they are what nearly applied.
func tracing(query rego.PreparedEvalQuery, outputs []string) func(topdown.Cancel, *question, time.Time, *recorder) ([]*ast.Term, error) {
	return func(cancel topdown.Cancel, input *question, now time.Time, r *recorder) ([]*ast.Term, error) {
		return evaluator(query, outputs, rego.EvalQueryTracer(r), rego.EvalRuleIndexing(false), rego.EvalEarlyExit(false))(cancel, input, now)
	}
}

// step is a rule, a body or an expression, merged over all the times that it was asked from the same place.
type step struct {
	kind, text, location string
	output               bool // a rule below an entry point
	tried, held          int
	place                int // of an expression in its body
	of                   int // of a rule or body: its expressions
	value                string
	evidence             []store.Digest
	furthest             *step // of a rule or body: the expression at which its best attempt failed
	reached              int   // its place there
	order                []*step
	children             map[string]*step
}

func (s *step) child(key string) *step {
	c := s.children[key]
	if c == nil {
		if s.children == nil {
			s.children = map[string]*step{}
		}
		c = &step{}
		s.children[key] = c
		s.order = append(s.order, c)
	}
	return c
}

// nodes renders what is below a step: what holds last, so that what is missing stands first.
func (s *step) nodes(left *int, depth int) ([]contract.TraceNode, int) {
	var list []contract.TraceNode
	for i, c := range s.order {
		if len(list) == maxTraceChildren || *left <= 0 || depth > maxTraceDepth {
			return list, len(s.order) - i
		}
		*left--
		n := contract.TraceNode{Kind: c.kind, Text: c.text, Location: c.location, Holds: c.held > 0, Value: c.value, Evidence: c.evidence}
		if c.tried > 1 {
			n.Tried, n.Held = c.tried, c.held
		}
		n.Children, n.More = c.nodes(left, depth+1)
		list = append(list, n)
	}
	return list, 0
}

// nearest are the places at which attempts failed that, of a denial, would have prevented it and, of an admission, would have denied it: the furthest first.
func (r *recorder) nearest(allowed bool) []contract.TraceMiss {
	type miss struct {
		contract.TraceMiss
		share float64
	}
	var all []miss
	var walk func(s *step, rule string, under bool)
	walk = func(s *step, rule string, under bool) {
		if s.kind == contract.TraceRule {
			rule = s.text
			if s.output {
				under = s.held > 0 // of a denial only what is below a rule that fired
			}
		}
		if f := s.furthest; f != nil && s.held == 0 && (allowed && s.output || !allowed && under && !s.output) {
			all = append(all, miss{contract.TraceMiss{Rule: rule, Expression: f.text, Location: f.location, Value: f.value, Evidence: f.evidence, Step: f.place, Steps: s.of},
				float64(f.place) / float64(max(s.of, 1))})
		}
		for _, c := range s.order {
			walk(c, rule, under)
		}
	}
	walk(r.root, "", false)
	slices.SortStableFunc(all, func(x, y miss) int {
		several := func(m miss) int { return truth(m.Steps > 1) } // what fails at its only step came no way
		return cmp.Or(several(y)-several(x), truth(len(y.Evidence) > 0)-truth(len(x.Evidence) > 0), cmp.Compare(y.share, x.share))
	})
	var list []contract.TraceMiss
	seen := map[string]bool{}
	for _, m := range all {
		if place := m.Location + m.Expression; !seen[place] && len(list) < maxNearest {
			seen[place] = true
			list = append(list, m.TraceMiss)
		}
	}
	return list
}

// place names where something stands.
func place(l *ast.Location) string {
	if l == nil {
		return ""
	}
	return fmt.Sprintf("%s:%d", path.Base(l.File), l.Row)
}
