package terms

import (
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/assay-registry/assay/policy/plan"
)

// Texts is an array of texts that are UTF-8.
type Texts []string

// NewTexts is an array of texts that are UTF-8, to a plan.
func NewTexts(list []string) *ast.Term {
	if len(list) == 0 {
		return ast.InternedEmptyArray
	}
	return plan.NewUnread(Texts(list))
}

// Made implements plan.Source.
func (p Texts) Made() (ast.Value, error) {
	terms, room := make([]*ast.Term, len(p)), make([]ast.Term, len(p))
	for i, s := range p {
		room[i].Value = ast.String(s)
		terms[i] = &room[i]
	}
	return ast.NewArray(terms...), nil
}

// Member implements plan.Source.
func (p Texts) Member(key *ast.Term) (*ast.Term, error) {
	if i := placeIn(key, len(p)); i >= 0 {
		return ast.StringTerm(p[i]), nil
	}
	return nil, nil
}

// Len implements plan.Source.
func (p Texts) Len() (int, error) { return len(p), nil }

// List implements plan.Source.
func (p Texts) List() bool { return true }

// Text is the text that a term is; empty if it is none.
func Text(t *ast.Term) string {
	s, _ := t.Value.(ast.String)
	return string(s)
}
