package bounded

import (
	"errors"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/types"

	"github.com/assay-registry/assay/policy/terms"
)

// Prefix begins the names of bounded built-ins, which nobody writes.
const Prefix = "bounded."

// Limits of one call.
const (
	maxOutput = 1 << 20 // bytes that one call may make
	maxDigits = 4096    // of a factor
	maxRange  = 100_000 // elements of a range
	maxWidth  = 1024    // of a verb of sprintf
)

// ErrTooLarge ends an evaluation.
var ErrTooLarge = errors.New("the result would be larger than a policy may make")

// Builtin is a built-in whose one call can make far more than it was given, behind a check of what it would make.
type Builtin struct {
	Name  string // bounded.concat
	inner string // concat
	Decl  *types.Function
	fits  func(operands []*ast.Term) bool

	answer topdown.BuiltinFunc
}

// Builtins are in the place of OPA's own. Calls are rewritten to go to these while a policy is compiled ([Stage]).
func Builtins() []Builtin {
	list := []Builtin{
		{inner: "concat", fits: fitsConcat},
		{inner: "replace", fits: fitsReplace},
		{inner: "strings.replace_n", fits: fitsReplaceN},
		{inner: "regex.replace", fits: func(o []*ast.Term) bool { return product(Size(o[0])+1, Size(o[2])+1) <= maxOutput }},
		{inner: "sprintf", fits: fitsSprintf},
		{inner: "internal.template_string", fits: func(o []*ast.Term) bool { return Size(o[0]) <= maxOutput }},
		{inner: "json.marshal", fits: func(o []*ast.Term) bool { return Size(o[0]) <= maxOutput }},
		{inner: "numbers.range", fits: fitsRange},
		{inner: "numbers.range_step", fits: fitsRange},
		{inner: "mul", fits: func(o []*ast.Term) bool { return Size(o[0]) <= maxDigits && Size(o[1]) <= maxDigits }},
		{inner: "product", fits: func(o []*ast.Term) bool { return Size(o[0]) <= maxDigits }},
		{inner: "array.concat", fits: fitsUnion},
		{inner: "object.union", fits: fitsUnion},
		{inner: "object.union_n", fits: func(o []*ast.Term) bool { return Size(o[0]) <= maxOutput }},
	}
	for i := range list {
		list[i].Name = Prefix + strings.ReplaceAll(list[i].inner, ".", "_")
		list[i].answer = topdown.GetBuiltin(list[i].inner)
		list[i].Decl = ast.BuiltinMap[list[i].inner].Decl
	}
	return list
}

// Option registers the implementation with a query.
func (b Builtin) Option() func(*rego.Rego) {
	return rego.FunctionDyn(&rego.Function{Name: b.Name, Decl: b.Decl}, b.call)
}

func (b Builtin) call(bctx rego.BuiltinContext, operands []*ast.Term) (out *ast.Term, err error) {
	if !b.fits(operands) {
		return nil, topdown.Halt{Err: fmt.Errorf("%s: %w", b.inner, ErrTooLarge)}
	}
	err = b.answer(bctx, operands, func(t *ast.Term) error { out = t; return nil })
	return out, err
}

// Stage is the compiler's, after its templates have become calls.
func Stage() ast.CompilerStageDefinition {
	return ast.CompilerStageDefinition{Name: "BoundBuiltins", MetricName: "assay_bound_builtins", Stage: bound}
}

// bound makes the calls of a compiler's modules go to the bounded built-ins. It is a stage of the compiler: names are resolved by then, so that a
// policy's own function of the same name is left alone, and templates have become calls.
func bound(c *ast.Compiler) *ast.Error {
	names := map[string]ast.Ref{}
	for _, b := range Builtins() {
		names[b.inner] = ast.MustParseRef(b.Name)
	}
	rename := func(terms []*ast.Term) {
		if len(terms) == 0 {
			return
		}
		if ref, ok := terms[0].Value.(ast.Ref); ok {
			if to, ok := names[ref.String()]; ok { // a new term: the operator may be one that OPA shares
				terms[0] = ast.NewTerm(to.Copy()).SetLocation(terms[0].Location)
			}
		}
	}
	for _, m := range c.Modules {
		ast.WalkExprs(m, func(e *ast.Expr) bool {
			if terms, ok := e.Terms.([]*ast.Term); ok {
				rename(terms)
			}
			return false
		})
		ast.WalkTerms(m, func(t *ast.Term) bool {
			if call, ok := t.Value.(ast.Call); ok {
				rename(call)
			}
			return false
		})
	}
	return nil
}

// Size counts the bytes that a value would take as text, and stops at the limit: a value can be small in memory and endless as text, because its
// parts may be shared.
func Size(t *ast.Term) int {
	left := maxOutput + 1
	measure(t, &left)
	return maxOutput + 1 - left
}

func measure(t *ast.Term, left *int) {
	if *left <= 0 {
		return
	}
	switch v := t.Value.(type) {
	case ast.String:
		*left -= len(v)
	case ast.Number:
		*left -= len(v)
	case *ast.Array:
		for i := 0; i < v.Len() && *left > 0; i++ {
			*left -= 2
			measure(v.Elem(i), left)
		}
	case ast.Set:
		_ = v.Iter(func(e *ast.Term) error {
			*left -= 2
			measure(e, left)
			return stopAt(*left)
		})
	case ast.Object:
		_ = v.Iter(func(k, e *ast.Term) error {
			*left -= 4
			measure(k, left)
			measure(e, left)
			return stopAt(*left)
		})
	default:
		*left -= 5
	}
	*left = max(*left, 0)
}

func stopAt(left int) error {
	if left <= 0 {
		return ErrTooLarge
	}
	return nil
}

// product multiplies without overflow: both factors are at most maxOutput+2.
func product(a, b int) int64 { return int64(a) * int64(b) }

func fitsConcat(o []*ast.Term) bool {
	return int64(Size(o[1]))+product(len(terms.Text(o[0])), terms.Length(o[1])) <= maxOutput
}

func fitsReplace(o []*ast.Term) bool {
	s, old, with := terms.Text(o[0]), terms.Text(o[1]), terms.Text(o[2])
	return int64(len(s))+int64(strings.Count(s, old))*int64(len(with)) <= maxOutput
}

func fitsReplaceN(o []*ast.Term) bool {
	patterns, ok := o[0].Value.(ast.Object)
	if !ok {
		return true // the built-in refuses it
	}
	longest := 1
	_ = patterns.Iter(func(_, with *ast.Term) error { longest = max(longest, len(terms.Text(with))); return nil })
	return int64(len(terms.Text(o[1]))+1)*int64(longest) <= maxOutput
}

// fitsUnion: with an empty one there is no more than there was.
func fitsUnion(o []*ast.Term) bool {
	return emptyCollection(o[0]) || emptyCollection(o[1]) || Size(o[0])+Size(o[1]) <= maxOutput
}

func emptyCollection(t *ast.Term) bool {
	switch v := t.Value.(type) {
	case *ast.Array:
		return v.Len() == 0
	case ast.Object:
		return v.Len() == 0
	}
	return false
}

func fitsRange(o []*ast.Term) bool {
	from, ok1 := o[0].Value.(ast.Number)
	to, ok2 := o[1].Value.(ast.Number)
	if !ok1 || !ok2 {
		return true
	}
	a, okA := from.Int64()
	b, okB := to.Int64()
	const far = 1 << 40
	return okA && okB && a > -far && a < far && b > -far && b < far && max(a-b, b-a) < maxRange
}

// fitsSprintf refuses a width or precision beyond maxWidth, and one that is an argument.
func fitsSprintf(o []*ast.Term) bool {
	format, width := terms.Text(o[0]), 0
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			continue
		}
		width = 0
		for i++; i < len(format) && strings.IndexByte("0123456789.*+-# []", format[i]) >= 0; i++ {
			switch c := format[i]; {
			case c == '*':
				return false
			case c >= '0' && c <= '9':
				width = width*10 + int(c-'0')
			default:
				width = 0
			}
			if width > maxWidth {
				return false
			}
		}
	}
	// "%[1]s" may write one argument many times.
	arguments := Size(o[1])
	return arguments <= maxOutput && product(strings.Count(format, "%")+1, arguments+maxWidth) <= 16*maxOutput
}
