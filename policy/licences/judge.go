package licences

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/assay-registry/assay/policy/plan"
	"github.com/assay-registry/assay/policy/terms"
	"github.com/assay-registry/assay/policy/wanted"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

// Judge is the built-in assay.licence.judge(expressions, rules): which licence expressions (an array, a set, or the keys of an object) the rules refuse, as {"denied": [...],
// "not_allowed": [...]}, and of an object "packages", the sum of its values, whole numbers of 0 or more. The rules have any of allowed and denied (SPDX identifiers or globs over them, in whatever
// capitals), allowed_categories and denied_categories. Of an expression one alternative has to be fine; what is no expression is taken as the name of a licence. A licence that is named stands before
// its category, and what is denied before what is allowed; with nothing allowed, what is not denied is fine. An expression is denied where each of its alternatives has a licence that is.
func Judge(known *Memory, expressions, rules *ast.Term) (*ast.Term, error) {
	said, err := known.rulesOf(rules)
	if err != nil {
		return nil, err
	}
	j := judging{rules: said, steps: wanted.MaxSteps}
	if u, ok := expressions.Value.(*plan.Unread); ok {
		if p, ok := u.Source.(*terms.Counts); ok {
			if counts, plain := p.All(); plain {
				return j.counts(counts)
			}
		}
		if err := plan.Make(expressions); err != nil {
			return nil, err
		}
	}
	if o, ok := expressions.Value.(ast.Object); ok {
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
		err = wanted.EachText(expressions, func(_ *ast.Term, name string) error { return j.one(name, 0) })
	}
	if err != nil {
		return nil, err
	}
	return j.answer(), nil
}

// judging is expressions on their way to an answer.
type judging struct {
	rules         *ruleSet
	steps         int
	denied, other []string
	packages      int64
	counted       bool // they are told
}

// one judges an expression that so many packages have.
func (j *judging) one(expression string, packages int64) error {
	j.packages = min(j.packages+max(packages, 0), terms.MaxWhole)
	found := j.rules.verdict(expression)
	switch found.what {
	case denied:
		j.denied = append(j.denied, expression)
	case other:
		j.other = append(j.other, expression)
	}
	if j.steps -= found.steps; j.steps <= 0 {
		return wanted.ErrTooLong
	}
	return nil
}

// counts judges the expressions of an input, without having made terms of them.
func (j *judging) counts(c store.Counts) (*ast.Term, error) {
	j.counted = true
	for i := range c {
		if err := j.one(c[i].Name, int64(c[i].N)); err != nil {
			return nil, err
		}
	}
	return j.answer(), nil
}

func (j *judging) answer() *ast.Term {
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

// ruleSet are what a policy says of licences: names and globs over them in capitals, and categories.
type ruleSet struct {
	allowed, denied                     []string
	allowedCategories, deniedCategories []string

	verdicts *places[verdict] // nil remembers none
}

func readRules(t *ast.Term) (*ruleSet, error) {
	object, ok := t.Value.(ast.Object)
	if !ok {
		return nil, fmt.Errorf("rules about licences are an object, and not a %s", ast.ValueName(t.Value))
	}
	r := &ruleSet{}
	err := object.Iter(func(k, v *ast.Term) (err error) {
		switch terms.Text(k) {
		case "allowed":
			r.allowed, err = upperTexts(v)
		case "denied":
			r.denied, err = upperTexts(v)
		case "allowed_categories":
			r.allowedCategories, err = wanted.Texts(v)
		case "denied_categories":
			r.deniedCategories, err = wanted.Texts(v)
		default:
			err = fmt.Errorf("rules about licences have allowed, denied, allowed_categories and denied_categories, and not %.40q", terms.Text(k))
		}
		return err
	})
	return r, err
}

func upperTexts(t *ast.Term) ([]string, error) {
	list, err := wanted.Texts(t)
	for i := range list {
		list[i] = strings.ToUpper(list[i])
	}
	return list, err
}

// What the rules say of a licence or an expression.
const (
	fine = iota
	other
	denied
)

// verdict is what rules say of an expression, and how many steps it took to find out: as many are taken from who knows it already, so that an answer does not depend on that.
type verdict struct {
	what, steps int
}

func (r *ruleSet) verdict(expression string) verdict {
	return r.remembered(expression, func(expression string) verdict {
		return r.expression(expression, func(name string) verdict { return r.remembered(name, r.one) })
	})
}

// remembered is what was said of a text before, or what is found out now. A name alone is an expression, of which the same is said.
func (r *ruleSet) remembered(text string, judge func(text string) verdict) verdict {
	if r.verdicts == nil || len(text) > longestRemembered {
		return judge(text)
	}
	return r.verdicts.of(text, judge)
}

// one judges a licence.
func (r *ruleSet) one(name string) verdict {
	upper, left := strings.ToUpper(name), wanted.MaxSteps
	named := func(how wanted.Globbing, patterns []string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool { return how.Match(p, upper, &left) })
	}
	what := other
	switch category := sbom.LicenseCategory(name); {
	case named(wanted.InNames, r.denied): // a name of somebody's own may have slashes, and is denied by its beginning all the same
		what = denied
	case named(wanted.InPaths, r.allowed):
		what = fine
	case slices.Contains(r.deniedCategories, category):
		what = denied
	case len(r.allowed)+len(r.allowedCategories) == 0 || slices.Contains(r.allowedCategories, category):
		what = fine
	}
	return verdict{what, wanted.MaxSteps - left}
}
