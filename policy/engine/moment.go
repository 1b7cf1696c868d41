package engine

import (
	"encoding/json"
	"fmt"
	"math/big"
	"time"

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

// made is the built-in assay.made(attestation): when it was made, as nanoseconds since 1970: by a trusted clock, else as its author says. An error where nobody does.
func made(_ rego.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
	if fact, ok := factOf(operands[0]); ok {
		if at, ok := fact.made(); ok {
			return terms.NewWhole(at.UnixNano()), nil
		}
	}
	return nil, wanted.Withheld("nobody says when the attestation was made")
}

// until is the built-in assay.until(when, days): the moment so many days after a time, as nanoseconds since 1970. When is a time in RFC 3339, an attestation, or a list of attestations, of
// which the newest counts. An error where nobody says when it was.
func until(_ rego.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
	n, ok := operands[1].Value.(ast.Number)
	days, whole := n.Int64()
	if !ok || !whole || days < 0 {
		return nil, fmt.Errorf("a number of days is a whole number of 0 or more, and not %.40s", operands[1])
	}
	var newest time.Time
	if s, ok := operands[0].Value.(ast.String); ok {
		newest, _ = wanted.Instant(string(s))
	} else if err := eachFact(operands[0], func(f factTerm) {
		if at, ok := f.made(); ok && at.After(newest) {
			newest = at
		}
	}); err != nil {
		return nil, err
	}
	if newest.IsZero() {
		return nil, wanted.Withheld("nobody says when it was")
	}
	end := new(big.Int).Mul(big.NewInt(days), big.NewInt(wanted.Day))
	return ast.NumberTerm(json.Number(end.Add(end, big.NewInt(newest.UnixNano())).String())), nil
}
