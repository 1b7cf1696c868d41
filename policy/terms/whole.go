package terms

import (
	"encoding/json"
	"math"
	"strconv"

	"github.com/open-policy-agent/opa/v1/ast"
)

// MaxWhole is what whole numbers stay below, so that the sum of two is still a number of Go.
const MaxWhole = 1 << 61

// Whole is a number that is whole and nearer to 0 than [MaxWhole]; false if it is none.
func Whole(t *ast.Term) (int64, bool) {
	n, ok := t.Value.(ast.Number)
	if !ok {
		return 0, false
	}
	i, ok := n.Int64()
	return i, ok && i > -MaxWhole && i < MaxWhole
}

// NewWhole is a whole number as a term.
func NewWhole(n int64) *ast.Term {
	if n >= 0 && n <= math.MaxInt16 {
		return ast.InternedTerm(int(n))
	}
	return ast.NumberTerm(json.Number(strconv.FormatInt(n, 10)))
}

// Length is how many members an array or a set has; 0 if it is none.
func Length(t *ast.Term) int {
	switch v := t.Value.(type) {
	case *ast.Array:
		return v.Len()
	case ast.Set:
		return v.Len()
	}
	return 0
}
