package facts

import (
	"encoding/json"
	"fmt"
	"math/big"
	"time"

	"github.com/assay-registry/assay/policy/terms"
	"github.com/assay-registry/assay/policy/wanted"
	"github.com/open-policy-agent/opa/v1/ast"
)

// Made is the built-in assay.made(attestation): when it was made, as nanoseconds since 1970: by a trusted clock, else as its author says. An error where nobody does.
func Made(attestation *ast.Term) (*ast.Term, error) {
	if fact, ok := of(attestation); ok {
		if at, ok := fact.made(); ok {
			return terms.NewWhole(at.UnixNano()), nil
		}
	}
	return nil, wanted.Withheld("nobody says when the attestation was made")
}

// Until is the built-in assay.until(when, days): the moment so many days after a time, as nanoseconds since 1970. When is a time in RFC 3339, an attestation, or a list of attestations, of
// which the newest counts. An error where nobody says when it was.
func Until(when, days *ast.Term) (*ast.Term, error) {
	n, ok := days.Value.(ast.Number)
	many, whole := n.Int64()
	if !ok || !whole || many < 0 {
		return nil, fmt.Errorf("a number of days is a whole number of 0 or more, and not %.40s", days)
	}
	var newest time.Time
	if s, ok := when.Value.(ast.String); ok {
		newest, _ = wanted.Instant(string(s))
	} else if err := eachFact(when, func(f Fact) {
		if at, ok := f.made(); ok && at.After(newest) {
			newest = at
		}
	}); err != nil {
		return nil, err
	}
	if newest.IsZero() {
		return nil, wanted.Withheld("nobody says when it was")
	}
	end := new(big.Int).Mul(big.NewInt(many), big.NewInt(wanted.Day))
	return ast.NumberTerm(json.Number(end.Add(end, big.NewInt(newest.UnixNano())).String())), nil
}
