package terms

import (
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/plan"
)

// Findings are findings that the registry matched.
type Findings struct {
	listPart
	list []contract.VulnerabilityInput
}

// Member implements plan.Source.
func (p *Findings) Member(key *ast.Term) (*ast.Term, error) {
	i := placeIn(key, len(p.list))
	if i < 0 {
		return nil, nil
	}
	return p.Term(i), nil
}

// All are the findings. They are only read.
func (p *Findings) All() []contract.VulnerabilityInput { return p.list }

// Term is one of them as policies have it.
func (p *Findings) Term(i int) *ast.Term { return p.terms.known.of(p.terms, &p.list[i]) }

// Reported are the findings that a report names, which somebody attested.
type Reported struct {
	terms *maker
	list  []any
	depth int
	made  *ast.Array
}

func (t *maker) reportedPart(x any, depth int) (*ast.Term, error) {
	list, ok := x.([]any)
	if !ok || depth > maxDepth {
		return t.foreignPart(x, depth)
	}
	return plan.NewUnread(&Reported{terms: t, list: list, depth: depth}), nil
}

// Made implements plan.Source.
func (p *Reported) Made() (ast.Value, error) { return valueOf(p.terms.reported(p.list, p.depth)) }

// Member implements plan.Source.
func (p *Reported) Member(key *ast.Term) (*ast.Term, error) {
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
func (p *Reported) Len() (int, error) { return len(p.list), nil }

// List implements plan.Source.
func (p *Reported) List() bool { return true }

// All is what the report names, as its JSON has it. It is only read.
func (p *Reported) All() []any { return p.list }

// Term is one of them as policies have it, null where they have none.
func (p *Reported) Term(i int) *ast.Term {
	t, err := p.Member(ast.InternedTerm(i))
	if err != nil || t == nil {
		return ast.NullTerm()
	}
	return t
}
