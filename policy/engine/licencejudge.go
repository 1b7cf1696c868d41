package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

// licenceRules are what a policy says of licences: names and globs over them in capitals, and categories.
type licenceRules struct {
	allowed, denied                     []string
	allowedCategories, deniedCategories []string
	steps                               int
}

// licenceJudge is the built-in assay.licence.judge(expressions, rules): which licence expressions (an array, a set, or the keys of an object) the rules refuse, as {"denied": [...],
// "not_allowed": [...]}. The rules have any of allowed and denied (SPDX identifiers or globs over them, in whatever capitals), allowed_categories and denied_categories. Of an expression one
// alternative has to be fine; what is no expression is taken as the name of a licence. A licence that is named stands before its category, and what is denied before what is allowed;
// with nothing allowed, what is not denied is fine. An expression is denied where each of its alternatives has a licence that is.
func licenceJudge(bctx rego.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
	r, err := licenceRulesOf(operands[1])
	if err != nil {
		return nil, err
	}
	known := aidsOf(bctx).licences
	var denied, other []*ast.Term
	one := func(t *ast.Term, expression string) error {
		switch r.judge(known.read(expression)) {
		case licenceDenied:
			denied = append(denied, t)
		case licenceOther:
			other = append(other, t)
		}
		if r.steps <= 0 {
			return errTooLong
		}
		return nil
	}
	if o, ok := operands[0].Value.(ast.Object); ok {
		err = o.Iter(func(t, _ *ast.Term) error {
			name, ok := t.Value.(ast.String)
			if !ok {
				return fmt.Errorf("a %s stands where a licence expression is wanted", ast.ValueName(t.Value))
			}
			return one(t, string(name))
		})
	} else {
		err = eachText(operands[0], one)
	}
	if err != nil {
		return nil, err
	}
	return ast.ObjectTerm(ast.Item(keyDenied, ast.ArrayTerm(denied...)), ast.Item(keyNotAllowed, ast.ArrayTerm(other...))), nil
}

var (
	keyDenied     = ast.StringTerm("denied")
	keyNotAllowed = ast.StringTerm("not_allowed")
)

func licenceRulesOf(t *ast.Term) (*licenceRules, error) {
	object, ok := t.Value.(ast.Object)
	if !ok {
		return nil, fmt.Errorf("rules about licences are an object, and not a %s", ast.ValueName(t.Value))
	}
	r := &licenceRules{steps: maxGlobSteps}
	err := object.Iter(func(k, v *ast.Term) (err error) {
		switch text(k) {
		case "allowed":
			r.allowed, err = upperTexts(v)
		case "denied":
			r.denied, err = upperTexts(v)
		case "allowed_categories":
			r.allowedCategories, err = textsOf(v)
		case "denied_categories":
			r.deniedCategories, err = textsOf(v)
		default:
			err = fmt.Errorf("rules about licences have allowed, denied, allowed_categories and denied_categories, and not %.40q", text(k))
		}
		return err
	})
	return r, err
}

func upperTexts(t *ast.Term) ([]string, error) {
	list, err := textsOf(t)
	for i := range list {
		list[i] = strings.ToUpper(list[i])
	}
	return list, err
}

// What the rules say of a licence or an expression.
const (
	licenceFine = iota
	licenceOther
	licenceDenied
)

func (r *licenceRules) judge(alternatives [][]licence) int {
	found := licenceDenied
	for _, together := range alternatives {
		worst := licenceFine
		for _, one := range together {
			worst = max(worst, r.one(one))
		}
		found = min(found, worst)
	}
	return found
}

// one judges a licence.
func (r *licenceRules) one(l licence) int {
	switch {
	case r.named(inNames, r.denied, l.upper): // a name of somebody's own may have slashes, and is denied by its beginning all the same
		return licenceDenied
	case r.named(inPaths, r.allowed, l.upper):
		return licenceFine
	case slices.Contains(r.deniedCategories, l.category):
		return licenceDenied
	case len(r.allowed)+len(r.allowedCategories) == 0 || slices.Contains(r.allowedCategories, l.category):
		return licenceFine
	}
	return licenceOther
}

func (r *licenceRules) named(how globbing, patterns []string, upper string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return how.match(p, upper, &r.steps) })
}
