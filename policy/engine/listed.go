package engine

import (
	"fmt"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/terms"
	"github.com/assay-registry/assay/policy/wanted"
)

// The built-ins assay.referrers(input.referrers, want) and assay.tag_history(input.tags.history, want) choose from what the input lists, of which both are handed the list. Lists are bounded: where
// nothing is found and there was more than is listed, that is an error and no empty list, so that a rule about what must not be there is not passed by its length. A member of want that
// is not known ends the evaluation.

var (
	keyList         = ast.StringTerm("list")
	keyMore         = ast.StringTerm("more")
	keyAt           = ast.StringTerm("at")
	keyBy           = ast.StringTerm("by")
	keyDigest       = ast.StringTerm("digest")
	keyArtifactType = ast.StringTerm("artifact_type")
	keyIsEvidence   = ast.StringTerm("evidence")
)

// chosen is the value of both: what was found under its name, and whether there may be more.
func chosen(name, what string, found []*ast.Term, more bool) (*ast.Term, error) {
	if more && len(found) == 0 {
		return nil, wanted.Withheld("nothing like that is among " + what + ", and there are others")
	}
	return ast.ObjectTerm(ast.Item(ast.StringTerm(name), ast.ArrayTerm(found...)), ast.Item(keyMore, ast.BooleanTerm(more))), nil
}

// patterns are of a list of texts, or of one. None matches everything.
type patterns struct {
	how  wanted.Globbing
	list []string
}

func (p *patterns) match(s string, steps *int) (bool, error) {
	for _, one := range p.list {
		if p.how.Match(one, s, steps) {
			return true, nil
		}
		if *steps <= 0 {
			return false, wanted.ErrTooLong
		}
	}
	return len(p.list) == 0, nil
}

// findReferrers is assay.referrers: artifact_types (exact or a glob, as of paths) and evidence (true or false) say which are wanted.
func findReferrers(_ rego.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
	all, ok := operands[0].Value.(ast.Object)
	if !ok || all.Get(keyList) == nil {
		return nil, fmt.Errorf("a %s stands where input.referrers is wanted, with its list", ast.ValueName(operands[0].Value))
	}
	list, ok := all.Get(keyList).Value.(*ast.Array)
	if !ok {
		return nil, fmt.Errorf("input.referrers.list is no list")
	}
	types, evidence := patterns{how: wanted.InPaths}, (*ast.Term)(nil)
	err := wanted.EachMember(operands[1], func(name string, v *ast.Term) (err error) {
		switch name {
		case "artifact_types":
			types.list, err = wanted.Texts(v)
		case "evidence":
			if _, ok := v.Value.(ast.Boolean); !ok {
				err = fmt.Errorf("evidence is true or false")
			}
			evidence = v
		default:
			err = fmt.Errorf("referrers are chosen by artifact_types and evidence, and not by %.40q", name)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	steps, found := wanted.MaxSteps, []*ast.Term(nil)
	err = list.Iter(func(t *ast.Term) error {
		one, ok := t.Value.(ast.Object)
		if !ok {
			return fmt.Errorf("a %s is no referrer", ast.ValueName(t.Value))
		}
		if evidence != nil && evidence.Equal(ast.BooleanTerm(true)) != terms.TrueIn(one, keyIsEvidence) {
			return nil
		}
		wanted, err := types.match(terms.TextIn(one, keyArtifactType), &steps)
		if wanted {
			found = append(found, t)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return chosen("referrers", fmt.Sprintf("the %d referrers that are looked at", list.Len()), found, terms.TrueIn(all, keyMore))
}

// findMoves is assay.tag_history: since (a time in RFC 3339, or nanoseconds since 1970), by (exact or a glob, as of names) and digest (exact) say which are wanted.
func findMoves(_ rego.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
	list, ok := operands[0].Value.(*ast.Array)
	if !ok {
		return nil, fmt.Errorf("a %s stands where input.tags.history is wanted", ast.ValueName(operands[0].Value))
	}
	by, digests, since := patterns{how: wanted.InNames}, patterns{how: wanted.InNames}, time.Time{}
	err := wanted.EachMember(operands[1], func(name string, v *ast.Term) (err error) {
		switch name {
		case "by":
			by.list, err = wanted.Texts(v)
		case "digest":
			digests.list, err = wanted.Texts(v)
		case "since":
			since, err = timeOf(v)
		default:
			err = fmt.Errorf("moves of a tag are chosen by since, by and digest, and not by %.40q", name)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	steps, found, more := wanted.MaxSteps, []*ast.Term(nil), list.Len() >= contract.MaxTagHistory
	err = list.Iter(func(t *ast.Term) error {
		one, ok := t.Value.(ast.Object)
		if !ok {
			return fmt.Errorf("a %s is no move of a tag", ast.ValueName(t.Value))
		}
		at, ok := wanted.Instant(terms.TextIn(one, keyAt))
		if !ok {
			return fmt.Errorf("a move of a tag has no time")
		}
		if at.Before(since) {
			more = false // what is not remembered is older still
			return nil
		}
		mine, err := by.match(terms.TextIn(one, keyBy), &steps)
		if err != nil || !mine {
			return err
		}
		wanted, err := digests.match(terms.TextIn(one, keyDigest), &steps)
		if wanted {
			found = append(found, t)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return chosen("moves", fmt.Sprintf("the last %d moves of the tag, which are remembered", list.Len()), found, more)
}

func timeOf(t *ast.Term) (time.Time, error) {
	switch v := t.Value.(type) {
	case ast.Number:
		if ns, ok := v.Int64(); ok && ns >= 0 {
			return time.Unix(0, ns), nil
		}
	case ast.String:
		if at, ok := wanted.Instant(string(v)); ok {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("a time is nanoseconds since 1970, or written in RFC 3339, and not %.40s", t)
}
