package engine

import (
	"reflect"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/assay-registry/assay/policy/plan"
)

// parts are the members of an input, each encoded once, when the first evaluation asks for it. One evaluation at a time does.
type parts struct {
	terms  terms
	value  reflect.Value
	built  map[string][2]*ast.Term // members, made
	unread structPart
}

func newParts(e *encoder, value reflect.Value) *parts {
	p := &parts{terms: terms{encoder: e}, value: value, built: map[string][2]*ast.Term{}}
	p.unread = structPart{terms: &p.terms, value: value}
	return p
}

// question is the input of one evaluation: the members that its entry point reads, and the policy's parameters. The interpreter gets them made, and a plan as they are ([plan.Source]).
type question struct {
	parts  *parts
	reads  Reads
	params *ast.Term
	value  ast.Value // nil until it is made
}

var _ plan.Source = (*question)(nil)

// Made is all of it.
func (q *question) Made() (ast.Value, error) {
	if q.value != nil {
		return q.value, nil
	}
	p := q.parts
	made, err := p.terms.fields(p.value, func(name string) bool {
		_, done := p.built[name]
		return !done && q.reads.Has(name)
	})
	if err != nil {
		return nil, err
	}
	for _, pair := range made {
		p.built[text(pair[0])] = pair
	}
	pairs := make([][2]*ast.Term, 0, len(q.reads.Fields))
	for _, field := range q.reads.Fields {
		if field == paramsField {
			pairs = append(pairs, [2]*ast.Term{keyParams, q.params})
		} else if pair, ok := p.built[field]; ok {
			pairs = append(pairs, pair)
		}
	}
	q.value = ast.NewObject(pairs...)
	return q.value, nil
}

// Member implements plan.Source.
func (q *question) Member(key *ast.Term) (*ast.Term, error) {
	switch name := text(key); {
	case !q.reads.Has(name):
		return nil, nil
	case name == paramsField:
		return q.params, nil
	}
	return q.parts.unread.Member(key)
}

// Len implements plan.Source.
func (q *question) Len() (int, error) {
	v, err := q.Made()
	if err != nil {
		return 0, err
	}
	return v.(ast.Object).Len(), nil
}

// List implements plan.Source.
func (q *question) List() bool { return false }

const paramsField = "params"

var keyParams = ast.StringTerm(paramsField)
