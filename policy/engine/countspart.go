package engine

import (
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/assay-registry/assay/store"
)

// countsPart are numbers by name of the input.
type countsPart struct {
	terms   *terms
	counts  store.Counts
	checked bool // whether they are as they should be: names in order that are UTF-8
	odd     bool
	made    ast.Object
}

// plain reports whether members are found as they are. Else two names may be one, and they are made first.
func (p *countsPart) plain() bool {
	if !p.checked {
		for i := range p.counts {
			name := p.counts[i].Name
			p.odd = p.odd || i > 0 && p.counts[i-1].Name >= name || !utf8.ValidString(name)
		}
		p.checked = true
	}
	return !p.odd
}

func (p *countsPart) object() ast.Object {
	if p.made == nil {
		p.made = p.terms.counts(p.counts).Value.(ast.Object)
	}
	return p.made
}

// Made implements plan.Source.
func (p *countsPart) Made() (ast.Value, error) { return p.object(), nil }

// Member implements plan.Source.
func (p *countsPart) Member(key *ast.Term) (*ast.Term, error) {
	name, ok := key.Value.(ast.String)
	if !ok {
		return nil, nil
	}
	if !p.plain() {
		return p.object().Get(key), nil
	}
	if n, ok := p.counts.Of(string(name)); ok {
		return p.terms.number(int64(n)), nil
	}
	return nil, nil
}

// Len implements plan.Source.
func (p *countsPart) Len() (int, error) {
	if !p.plain() {
		return p.object().Len(), nil
	}
	return len(p.counts), nil
}

// List implements plan.Source.
func (p *countsPart) List() bool { return false }
