package engine

import (
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/plan"
)

// findingsPart are findings that the registry matched.
type findingsPart struct {
	listPart
	list []contract.VulnerabilityInput
}

// Member implements plan.Source.
func (p *findingsPart) Member(key *ast.Term) (*ast.Term, error) {
	i := placeIn(key, len(p.list))
	if i < 0 {
		return nil, nil
	}
	return p.terms.known.of(p.terms, &p.list[i]), nil
}

// reportedPart are the findings that a report names, which somebody attested.
type reportedPart struct {
	terms *terms
	list  []any
	depth int
	made  *ast.Array
}

func (t *terms) reportedPart(x any, depth int) (*ast.Term, error) {
	list, ok := x.([]any)
	if !ok || depth > maxDepth {
		return t.foreignPart(x, depth)
	}
	return plan.NewUnread(&reportedPart{terms: t, list: list, depth: depth}), nil
}

// Made implements plan.Source.
func (p *reportedPart) Made() (ast.Value, error) { return valueOf(p.terms.reported(p.list, p.depth)) }

// Member implements plan.Source.
func (p *reportedPart) Member(key *ast.Term) (*ast.Term, error) {
	if p.made == nil {
		v, err := p.Made()
		if err != nil {
			return nil, err
		}
		p.made = v.(*ast.Array)
	}
	return p.made.Get(key), nil
}

// Len implements plan.Source.
func (p *reportedPart) Len() (int, error) { return len(p.list), nil }

// List implements plan.Source.
func (p *reportedPart) List() bool { return true }

// each implements report.
func (p *findingsPart) each(do func(int, finding) bool) bool {
	for i := range p.list {
		if f := (*inputFinding)(&p.list[i]); !f.legible() || !do(i, f) {
			return false
		}
	}
	return true
}

// term implements report.
func (p *findingsPart) term(i int) *ast.Term { return p.terms.known.of(p.terms, &p.list[i]) }

// size implements report.
func (p *findingsPart) size() int { return len(p.list) }

// size implements report.
func (p *reportedPart) size() int { return len(p.list) }

// each implements report.
func (p *reportedPart) each(do func(int, finding) bool) bool {
	f := &mapFinding{}
	for i, one := range p.list {
		var ok bool
		if f.members, ok = one.(map[string]any); ok && !do(i, f) || f.odd {
			return false
		}
		if !ok {
			f.check(one)
		}
	}
	return !f.odd
}

// term implements report.
func (p *reportedPart) term(i int) *ast.Term {
	t, err := p.Member(ast.InternedTerm(i))
	if err != nil || t == nil {
		return ast.NullTerm() // such a one is none of the findings that were sorted
	}
	return t
}
