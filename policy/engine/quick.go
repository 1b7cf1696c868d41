package engine

import (
	"encoding/json"
	"math"
	"math/bits"
	"strconv"
	"time"

	"github.com/assay-registry/assay/policy/plan"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Times are nanoseconds since 1970, for which OPA's arithmetic goes through numbers of any size: a microsecond and 20 allocations an operation. Whole numbers below 2^61 are reckoned with as
// such; everything else is left to OPA, and a test holds both equal.

// quickLimit is what whole numbers stay below.
const quickLimit = 1 << 61

// quickBuiltins are built-ins of OPA with a shorter way for whole numbers.
func quickBuiltins() map[string]plan.Builtin {
	return map[string]plan.Builtin{
		"plus":        whole2("plus", func(a, b int64) (int64, bool) { return a + b, true }),
		"minus":       whole2("minus", func(a, b int64) (int64, bool) { return a - b, true }),
		"mul":         whole2("mul", wholeProduct),
		"rem":         whole2("rem", func(a, b int64) (int64, bool) { return a % max(b, 1), a >= 0 && b > 0 }),
		"div":         whole2("div", func(a, b int64) (int64, bool) { return a / max(b, 1), a > 0 && b > 0 && a%b == 0 }),
		"floor":       whole1("floor", func(a int64) *ast.Term { return wholeTerm(a) }),
		"time.format": whole1("time.format", func(a int64) *ast.Term { return ast.StringTerm(time.Unix(0, a).UTC().Format(time.RFC3339Nano)) }),
	}
}

func wholeTerm(n int64) *ast.Term {
	if n >= 0 && n <= math.MaxInt16 {
		return ast.InternedTerm(int(n))
	}
	return ast.NumberTerm(json.Number(strconv.FormatInt(n, 10)))
}

func wholeProduct(a, b int64) (int64, bool) {
	if a < 0 || b < 0 {
		return 0, false
	}
	high, low := bits.Mul64(uint64(a), uint64(b))
	return int64(low), high == 0 && low < quickLimit
}

// wholeOf is a number that is whole and not too large.
func wholeOf(t *ast.Term) (int64, bool) {
	n, ok := t.Value.(ast.Number)
	if !ok {
		return 0, false
	}
	i, ok := n.Int64()
	return i, ok && i > -quickLimit && i < quickLimit
}

func whole1(name string, quick func(int64) *ast.Term) plan.Builtin {
	slow := openBuiltin(name)
	return func(bctx *topdown.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
		if a, ok := wholeOf(operands[0]); ok {
			return quick(a), nil
		}
		return slow(bctx, operands)
	}
}

func whole2(name string, quick func(a, b int64) (int64, bool)) plan.Builtin {
	slow := openBuiltin(name)
	return func(bctx *topdown.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
		a, ok := wholeOf(operands[0])
		b, also := wholeOf(operands[1])
		if ok && also {
			if n, fits := quick(a, b); fits {
				return wholeTerm(n), nil
			}
		}
		return slow(bctx, operands)
	}
}

// openBuiltin is a built-in of OPA as a plan calls it, behind its bound if it has one.
func openBuiltin(name string) plan.Builtin {
	for _, b := range boundedBuiltins() {
		if b.inner == name {
			return func(bctx *topdown.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
				return b.call(*bctx, operands)
			}
		}
	}
	answer := topdown.GetBuiltin(name)
	return func(bctx *topdown.BuiltinContext, operands []*ast.Term) (out *ast.Term, err error) {
		err = answer(*bctx, operands, func(t *ast.Term) error { out = t; return nil })
		return out, err
	}
}
