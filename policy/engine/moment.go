package engine

import (
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/assay-registry/assay/policy/terms"
	"github.com/assay-registry/assay/policy/wanted"
)

// moment is the built-in assay.moment(text): a time in RFC 3339 as nanoseconds since 1970. What is none, or lies before 1970 or after 2199, is an error.
func moment(_ rego.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
	at, ok := wanted.Instant(terms.Text(operands[0]))
	if !ok {
		return nil, wanted.Withheld("a time is written in RFC 3339, such as 2026-11-30T12:00:00Z, between 1970 and 2199")
	}
	return terms.NewWhole(at.UnixNano()), nil
}
