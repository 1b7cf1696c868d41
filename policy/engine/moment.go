package engine

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/assay-registry/assay/policy/terms"
)

// moment is the built-in assay.moment(text): a time in RFC 3339 as nanoseconds since 1970. What is none, or lies before 1970 or after 2199, is an error.
func moment(_ rego.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
	at, ok := instant(terms.Text(operands[0]))
	if !ok {
		return nil, withheld("a time is written in RFC 3339, such as 2026-11-30T12:00:00Z, between 1970 and 2199")
	}
	return nanoseconds(at), nil
}

func nanoseconds(at time.Time) *ast.Term {
	return ast.NumberTerm(json.Number(strconv.FormatInt(at.UnixNano(), 10)))
}

// instant is stricter than time.Parse: no comma, no lower case, at most nine digits of a second, and an offset of less than 20 hours.
func instant(s string) (time.Time, bool) {
	if at, ok := usualInstant(s); ok {
		return at, true
	}
	if len(s) < len("1970-01-01T00:00:00Z") || len(s) > len("1970-01-01T00:00:00.000000000+00:00") || s[10] != 'T' || s[:4] < "1970" || s[:4] > "2199" || strings.ContainsAny(s, ",tz") {
		return time.Time{}, false
	}
	if i := len(s) - len("+00:00"); s[len(s)-1] != 'Z' && (s[i] != '+' && s[i] != '-' || s[i+1] > '1' || s[i+4] > '5') {
		return time.Time{}, false
	}
	if len(strings.TrimLeft(s[len("1970-01-01T00:00:00"):], ".0123456789"))+len("1970-01-01T00:00:00.000000000") < len(s) {
		return time.Time{}, false
	}
	at, err := time.Parse(time.RFC3339Nano, s)
	return at, err == nil
}

// usualInstant reads the usual way to write a time, 2026-11-30T12:00:00Z, between 1970 and 2199.
func usualInstant(s string) (at time.Time, ok bool) {
	const form = "0000-00-00T00:00:00Z"
	if len(s) != len(form) || s[:4] < "1970" || s[:4] > "2199" {
		return at, false
	}
	var n [6]int // year, month, day, hour, minute, second
	part := 0
	for i := range len(form) {
		switch digit := s[i] - '0'; {
		case form[i] != '0':
			if s[i] != form[i] {
				return at, false
			}
			part++
		case digit > 9:
			return at, false
		default:
			n[part] = 10*n[part] + int(digit)
		}
	}
	if n[1] < 1 || n[1] > 12 || n[2] < 1 || n[3] > 23 || n[4] > 59 || n[5] > 59 {
		return at, false
	}
	at = time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], 0, time.UTC)
	return at, at.Day() == n[2]
}

// made is the built-in assay.made(attestation): when it was made, as nanoseconds since 1970: by a trusted clock, else as its author says. An error where nobody does.
func made(_ rego.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
	if fact, ok := factOf(operands[0]); ok {
		if at, ok := fact.made(); ok {
			return nanoseconds(at), nil
		}
	}
	return nil, withheld("nobody says when the attestation was made")
}

// dayNanoseconds is a day of 24 hours.
const dayNanoseconds = int64(24 * time.Hour)

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
		newest, _ = instant(string(s))
	} else if err := eachFact(operands[0], func(f factTerm) {
		if at, ok := f.made(); ok && at.After(newest) {
			newest = at
		}
	}); err != nil {
		return nil, err
	}
	if newest.IsZero() {
		return nil, withheld("nobody says when it was")
	}
	end := new(big.Int).Mul(big.NewInt(days), big.NewInt(dayNanoseconds))
	return ast.NumberTerm(json.Number(end.Add(end, big.NewInt(newest.UnixNano())).String())), nil
}
