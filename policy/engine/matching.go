package engine

import (
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/assay-registry/assay/policy/bounded"
	"github.com/assay-registry/assay/policy/wanted"
)

// Limits of assay.matching.
const (
	maxLists  = 64  // that want one member each
	maxChoice = 256 // different members
)

// matching is the built-in assay.matching(lists): the greatest number of lists (arrays or sets) that can be given a member of their own each, no member twice. So a threshold
// counts: the lists are who signed for each authority, and a signer whom two authorities name stands for one of them.
func matching(_ rego.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
	lists, ok := operands[0].Value.(*ast.Array)
	if !ok || lists.Len() > maxLists {
		return nil, wanted.Withheld(fmt.Sprintf("at most %d lists can be matched", maxLists))
	}
	index := map[string]int{}
	choices := make([][]int, lists.Len())
	for i := range choices {
		var members []*ast.Term
		switch v := lists.Elem(i).Value.(type) {
		case *ast.Array:
			v.Foreach(func(t *ast.Term) { members = append(members, t) })
		case ast.Set:
			members = v.Slice()
		default:
			return nil, wanted.Withheld("what is matched is a list of lists")
		}
		for _, m := range members {
			if bounded.Size(m) > maxQueryText*8 {
				return nil, wanted.Withheld("a member is too large to be matched")
			}
			name := m.Value.String()
			n, known := index[name]
			if !known {
				if n = len(index); n >= maxChoice {
					return nil, wanted.Withheld(fmt.Sprintf("at most %d different members can be matched", maxChoice))
				}
				index[name] = n
			}
			choices[i] = append(choices[i], n)
		}
	}
	return ast.IntNumberTerm(match(choices, len(index))), nil
}

// match is the size of a maximum matching of lists to members, by augmenting paths.
func match(choices [][]int, members int) int {
	holder := make([]int, members) // of each member the list that has it, plus one
	var assign func(list int, seen []bool) bool
	assign = func(list int, seen []bool) bool {
		for _, m := range choices[list] {
			if seen[m] {
				continue
			}
			seen[m] = true
			if holder[m] == 0 || assign(holder[m]-1, seen) {
				holder[m] = list + 1
				return true
			}
		}
		return false
	}
	n := 0
	for list := range choices {
		if assign(list, make([]bool, members)) {
			n++
		}
	}
	return n
}
