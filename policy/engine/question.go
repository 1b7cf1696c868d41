package engine

import (
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/assay-registry/assay/policy/plan"
	"github.com/assay-registry/assay/policy/terms"
)

// question is the input of one evaluation: the members that its entry point reads, and the policy's parameters. The interpreter gets them made, and a plan as they are ([plan.Source]).
type question struct {
	parts  *terms.Input
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
	if err := q.parts.Make(q.reads.Has); err != nil {
		return nil, err
	}
	pairs := make([][2]*ast.Term, 0, len(q.reads.Fields))
	for _, field := range q.reads.Fields {
		if field == paramsField {
			pairs = append(pairs, [2]*ast.Term{keyParams, q.params})
		} else if pair, ok := q.parts.Made(field); ok {
			pairs = append(pairs, pair)
		}
	}
	q.value = ast.NewObject(pairs...)
	return q.value, nil
}

// Member implements plan.Source.
func (q *question) Member(key *ast.Term) (*ast.Term, error) {
	switch name := terms.Text(key); {
	case !q.reads.Has(name):
		return nil, nil
	case name == paramsField:
		return q.params, nil
	}
	return q.parts.Member(key)
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
