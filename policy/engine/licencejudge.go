package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/assay-registry/assay/policy/plan"
	"github.com/assay-registry/assay/policy/terms"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

// licenceJudge is the built-in assay.licence.judge(expressions, rules): which licence expressions (an array, a set, or the keys of an object) the rules refuse, as {"denied": [...],
// "not_allowed": [...]}, and of an object "packages", the sum of its values, whole numbers of 0 or more. The rules have any of allowed and denied (SPDX identifiers or globs over them, in whatever
// capitals), allowed_categories and denied_categories. Of an expression one alternative has to be fine; what is no expression is taken as the name of a licence. A licence that is named stands before
// its category, and what is denied before what is allowed; with nothing allowed, what is not denied is fine. An expression is denied where each of its alternatives has a licence that is.
func licenceJudge(bctx rego.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
	rules, err := aidsOf(bctx).licences.rulesOf(operands[1])
	if err != nil {
		return nil, err
	}
	j := licenceJudging{rules: rules, steps: maxGlobSteps}
	if u, ok := operands[0].Value.(*plan.Unread); ok {
		if p, ok := u.Source.(*terms.Counts); ok {
			if counts, plain := p.All(); plain {
				return j.counts(counts)
			}
		}
		if err := plan.Make(operands[0]); err != nil {
			return nil, err
		}
	}
	if o, ok := operands[0].Value.(ast.Object); ok {
		j.counted = true
		err = o.Iter(func(t, n *ast.Term) error {
			name, ok := t.Value.(ast.String)
			if !ok {
				return fmt.Errorf("a %s stands where a licence expression is wanted", ast.ValueName(t.Value))
			}
			whole, _ := terms.Whole(n)
			return j.one(string(name), whole)
		})
	} else {
		err = eachText(operands[0], func(_ *ast.Term, name string) error { return j.one(name, 0) })
	}
	if err != nil {
		return nil, err
	}
	return j.answer(), nil
}

// licenceJudging is expressions on their way to an answer.
type licenceJudging struct {
	rules         *licenceRules
	steps         int
	denied, other []string
	packages      int64
	counted       bool // they are told
}

// one judges an expression that so many packages have.
func (j *licenceJudging) one(expression string, packages int64) error {
	j.packages = min(j.packages+max(packages, 0), terms.MaxWhole)
	found := j.rules.verdict(expression)
	switch found.what {
	case licenceDenied:
		j.denied = append(j.denied, expression)
	case licenceOther:
		j.other = append(j.other, expression)
	}
	if j.steps -= found.steps; j.steps <= 0 {
		return errTooLong
	}
	return nil
}

// counts judges the expressions of an input, without having made terms of them.
func (j *licenceJudging) counts(c store.Counts) (*ast.Term, error) {
	j.counted = true
	for i := range c {
		if err := j.one(c[i].Name, int64(c[i].N)); err != nil {
			return nil, err
		}
	}
	return j.answer(), nil
}

func (j *licenceJudging) answer() *ast.Term {
	members := [3][2]*ast.Term{ast.Item(keyDenied, terms.NewTexts(j.denied)), ast.Item(keyNotAllowed, terms.NewTexts(j.other)), ast.Item(keyPackages, terms.NewWhole(j.packages))}
	if !j.counted {
		return plan.NewObject(members[:2]...)
	}
	return plan.NewObject(members[:]...)
}

var (
	keyDenied     = ast.StringTerm("denied")
	keyNotAllowed = ast.StringTerm("not_allowed")
	keyPackages   = ast.StringTerm("packages")
)

// licenceRules are what a policy says of licences: names and globs over them in capitals, and categories.
type licenceRules struct {
	allowed, denied                     []string
	allowedCategories, deniedCategories []string

	verdicts *places[licenceVerdict] // nil remembers none
}

func readLicenceRules(t *ast.Term) (*licenceRules, error) {
	object, ok := t.Value.(ast.Object)
	if !ok {
		return nil, fmt.Errorf("rules about licences are an object, and not a %s", ast.ValueName(t.Value))
	}
	r := &licenceRules{}
	err := object.Iter(func(k, v *ast.Term) (err error) {
		switch terms.Text(k) {
		case "allowed":
			r.allowed, err = upperTexts(v)
		case "denied":
			r.denied, err = upperTexts(v)
		case "allowed_categories":
			r.allowedCategories, err = textsOf(v)
		case "denied_categories":
			r.deniedCategories, err = textsOf(v)
		default:
			err = fmt.Errorf("rules about licences have allowed, denied, allowed_categories and denied_categories, and not %.40q", terms.Text(k))
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

// licenceVerdict is what rules say of an expression, and how many steps it took to find out: as many are taken from who knows it already, so that an answer does not depend on that.
type licenceVerdict struct {
	what, steps int
}

func (r *licenceRules) verdict(expression string) licenceVerdict {
	return r.remembered(expression, func(expression string) licenceVerdict {
		return r.expression(expression, func(name string) licenceVerdict { return r.remembered(name, r.one) })
	})
}

// remembered is what was said of a text before, or what is found out now. A name alone is an expression, of which the same is said.
func (r *licenceRules) remembered(text string, judge func(text string) licenceVerdict) licenceVerdict {
	if r.verdicts == nil || len(text) > longestRemembered {
		return judge(text)
	}
	return r.verdicts.of(text, judge)
}

// one judges a licence.
func (r *licenceRules) one(name string) licenceVerdict {
	upper, left := strings.ToUpper(name), maxGlobSteps
	named := func(how globbing, patterns []string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool { return how.match(p, upper, &left) })
	}
	what := licenceOther
	switch category := sbom.LicenseCategory(name); {
	case named(inNames, r.denied): // a name of somebody's own may have slashes, and is denied by its beginning all the same
		what = licenceDenied
	case named(inPaths, r.allowed):
		what = licenceFine
	case slices.Contains(r.deniedCategories, category):
		what = licenceDenied
	case len(r.allowed)+len(r.allowedCategories) == 0 || slices.Contains(r.allowedCategories, category):
		what = licenceFine
	}
	return licenceVerdict{what, maxGlobSteps - left}
}
