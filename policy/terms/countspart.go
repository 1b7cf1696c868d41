package terms

import (
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/assay-registry/assay/store"
)

// Counts are numbers by name of the input.
type Counts struct {
	terms   *maker
	counts  store.Counts
	checked bool // whether they are as they should be: names in order that are UTF-8
	odd     bool
	made    ast.Object
}

// plain reports whether members are found as they are. Else two names may be one, and they are made first.
func (p *Counts) plain() bool {
	if !p.checked {
		for i := range p.counts {
			name := p.counts[i].Name
			p.odd = p.odd || i > 0 && p.counts[i-1].Name >= name || !utf8.ValidString(name)
		}
		p.checked = true
	}
	return !p.odd
}

func (p *Counts) object() ast.Object {
	if p.made == nil {
		p.made = p.terms.counts(p.counts).Value.(ast.Object)
	}
	return p.made
}

// Made implements plan.Source.
func (p *Counts) Made() (ast.Value, error) { return p.object(), nil }

// Member implements plan.Source.
func (p *Counts) Member(key *ast.Term) (*ast.Term, error) {
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
func (p *Counts) Len() (int, error) {
	if !p.plain() {
		return p.object().Len(), nil
	}
	return len(p.counts), nil
}

// List implements plan.Source.
func (p *Counts) List() bool { return false }

// All are the numbers by their names, which are in order and UTF-8; false where they are not, and two names may be one to a policy: then they are to be made.
func (p *Counts) All() (store.Counts, bool) { return p.counts, p.plain() }
