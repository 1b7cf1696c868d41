package engine

import (
	"fmt"
	"strings"

	"github.com/assay-registry/assay/policy/terms"
	"github.com/assay-registry/assay/policy/wanted"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

// globs is the built-in assay.globs(patterns, texts, how): those of the texts that some pattern matches. Patterns and texts are a text, an array or a set; how is "path", "name" or
// "fold" (see [wanted.Globbing]). Whatever is no text ends the evaluation, as does a call that takes too long.
func globs(_ rego.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
	how := wanted.InPaths
	switch terms.Text(operands[2]) {
	case "path":
	case "name":
		how = wanted.InNames
	case "fold":
		how = wanted.Folded
	default:
		return nil, fmt.Errorf("a pattern is for a path, a name or, in whatever capitals, fold, and not %.40q", terms.Text(operands[2]))
	}
	patterns, err := wanted.Texts(operands[0])
	if err != nil {
		return nil, err
	}
	if how == wanted.Folded {
		for i := range patterns {
			patterns[i] = strings.ToUpper(patterns[i])
		}
	}
	steps, found := wanted.MaxSteps, []*ast.Term(nil)
	err = wanted.EachText(operands[1], func(t *ast.Term, s string) error {
		if how == wanted.Folded {
			s = strings.ToUpper(s)
		}
		for _, p := range patterns {
			if how.Match(p, s, &steps) {
				found = append(found, t)
				return nil
			}
			if steps <= 0 {
				return wanted.ErrTooLong
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ast.ArrayTerm(found...), nil
}
