package bounded

import (
	"math/bits"
	"strconv"
	"strings"
	"time"

	"github.com/assay-registry/assay/policy/plan"
	"github.com/assay-registry/assay/policy/terms"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// What sentences and times are made of has a shorter way. Times are nanoseconds since 1970, for which OPA's arithmetic goes through numbers of any size: a microsecond and 20 allocations an operation. Whole numbers below 2^61 are reckoned with as
// such; everything else is left to OPA, and a test holds both equal.

// quickBuiltins are built-ins of OPA with a shorter way for what is usual.
func quickBuiltins() map[string]plan.Builtin {
	return map[string]plan.Builtin{
		"sprintf":     quickSprintf(),
		"plus":        whole2("plus", func(a, b int64) (int64, bool) { return a + b, true }),
		"minus":       whole2("minus", func(a, b int64) (int64, bool) { return a - b, true }),
		"mul":         whole2("mul", wholeProduct),
		"rem":         whole2("rem", func(a, b int64) (int64, bool) { return a % max(b, 1), a >= 0 && b > 0 }),
		"div":         whole2("div", func(a, b int64) (int64, bool) { return a / max(b, 1), a > 0 && b > 0 && a%b == 0 }),
		"sum":         quickSum(),
		"floor":       whole1("floor", func(a int64) *ast.Term { return terms.NewWhole(a) }),
		"time.format": whole1("time.format", func(a int64) *ast.Term { return ast.StringTerm(time.Unix(0, a).UTC().Format(time.RFC3339Nano)) }),
	}
}

func wholeProduct(a, b int64) (int64, bool) {
	if a < 0 || b < 0 {
		return 0, false
	}
	high, low := bits.Mul64(uint64(a), uint64(b))
	return int64(low), high == 0 && low < terms.MaxWhole
}

func whole1(name string, quick func(int64) *ast.Term) plan.Builtin {
	slow := openBuiltin(name)
	return func(bctx *topdown.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
		if a, ok := terms.Whole(operands[0]); ok {
			return quick(a), nil
		}
		return slow(bctx, operands)
	}
}

// quickSum is of an array of a few whole numbers.
func quickSum() plan.Builtin {
	slow := openBuiltin("sum")
	return func(bctx *topdown.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
		if list, ok := operands[0].Value.(*ast.Array); ok && list.Len() < 64 {
			total, whole := int64(0), true
			for i := 0; i < list.Len() && whole; i++ {
				var n int64
				n, whole = terms.Whole(list.Elem(i))
				total += n
				whole = whole && total > -terms.MaxWhole && total < terms.MaxWhole
			}
			if whole {
				return terms.NewWhole(total), nil
			}
		}
		return slow(bctx, operands)
	}
}

func whole2(name string, quick func(a, b int64) (int64, bool)) plan.Builtin {
	slow := openBuiltin(name)
	return func(bctx *topdown.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
		a, ok := terms.Whole(operands[0])
		b, also := terms.Whole(operands[1])
		if ok && also {
			if n, fits := quick(a, b); fits {
				return terms.NewWhole(n), nil
			}
		}
		return slow(bctx, operands)
	}
}

// maxQuickText is how long a sentence may be: far below what a call may make.
const maxQuickText = 1 << 12

// quickSprintf formats texts with %s and whole numbers with %d.
func quickSprintf() plan.Builtin {
	slow := openBuiltin("sprintf")
	return func(bctx *topdown.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
		if s, ok := formatted(operands[0], operands[1]); ok {
			return ast.StringTerm(s), nil
		}
		return slow(bctx, operands)
	}
}

func formatted(format, args *ast.Term) (string, bool) {
	f, ok := format.Value.(ast.String)
	list, also := args.Value.(*ast.Array)
	if !ok || !also || len(f) > maxQuickText {
		return "", false
	}
	var room [512]byte
	out, next := room[:0], 0
	for i := 0; i < len(f); i++ {
		if f[i] != '%' {
			out = append(out, f[i])
			continue
		}
		if i++; i == len(f) || next == list.Len() {
			return "", false
		}
		switch v := list.Elem(next).Value.(type) {
		case ast.String:
			if f[i] != 's' {
				return "", false
			}
			out = append(out, v...)
		case ast.Number:
			n, ok := v.Int64()
			if f[i] != 'd' || !ok || strings.Trim(string(v), "-0123456789") != "" {
				return "", false
			}
			out = strconv.AppendInt(out, n, 10)
		default:
			return "", false
		}
		if next++; len(out) > maxQuickText {
			return "", false
		}
	}
	return string(out), next == list.Len()
}

// openBuiltin is a built-in of OPA as a plan calls it, behind its bound if it has one.
func openBuiltin(name string) plan.Builtin {
	for _, b := range Builtins() {
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
