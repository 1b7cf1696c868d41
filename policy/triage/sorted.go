package triage

import (
	"encoding/json"
	"math/big"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/assay-registry/assay/policy/plan"
	"github.com/assay-registry/assay/policy/terms"
	"github.com/assay-registry/assay/policy/wanted"
)

// What sorted findings are to a policy ([plan.Source]): mostly their numbers, sometimes their names, and rarely themselves.

// answer is what a policy reads.
func (s *sorting) answer() (*ast.Term, error) {
	if s.rules.steps <= 0 {
		return nil, wanted.ErrTooLong
	}
	p := &sortedPart{sorting: s}
	for i := range p.groups {
		p.groups[i] = plan.NewUnread(&groupPart{sorting: s, which: Group(i)})
	}
	return plan.NewUnread(p), nil
}

// sortedPart are the groups, and the names of what is not excused.
type sortedPart struct {
	sorting *sorting
	groups  [manyGroups]*ast.Term
	ids     *ast.Term
}

// Made implements plan.Source.
func (p *sortedPart) Made() (ast.Value, error) { return madeOf(p, keyExcused, keyNew, keyLeft, keyIDs) }

// Member implements plan.Source.
func (p *sortedPart) Member(key *ast.Term) (*ast.Term, error) {
	switch terms.Text(key) {
	case "excused":
		return p.groups[Excused], nil
	case "new":
		return p.groups[New], nil
	case "left":
		return p.groups[Left], nil
	case "ids":
		if p.ids == nil {
			p.ids = terms.NewTexts(merged(p.sorting.groups[New].names(), p.sorting.groups[Left].names()))
		}
		return p.ids, nil
	}
	return nil, nil
}

// Len implements plan.Source.
func (p *sortedPart) Len() (int, error) { return len(p.groups) + 1, nil }

// List implements plan.Source.
func (p *sortedPart) List() bool { return false }

// madeOf is an object of some members of a source, those that there are.
func madeOf(s plan.Source, keys ...*ast.Term) (ast.Value, error) {
	var members [][2]*ast.Term
	for _, key := range keys {
		t, err := s.Member(key)
		if err == nil && t != nil {
			err = plan.Make(t)
			members = append(members, ast.Item(key, t))
		}
		if err != nil {
			return nil, err
		}
	}
	return ast.NewObject(members...), nil
}

// names are those of a group, sorted, each once.
func (g *group) names() []string {
	if !g.sorted {
		slices.Sort(g.ids)
		g.ids, g.sorted = slices.Compact(g.ids), true
	}
	return g.ids
}

// merged are the texts of two sorted lists.
func merged(a, b []string) []string {
	switch {
	case len(a) == 0:
		return b
	case len(b) == 0:
		return a
	}
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// groupPart is a group of findings.
type groupPart struct {
	sorting *sorting
	which   Group
	counts  *ast.Term
	ids     *ast.Term
}

// Made implements plan.Source.
func (p *groupPart) Made() (ast.Value, error) {
	return madeOf(p, keyCounts, keyFindings, keyIDs, keyUntil)
}

// Member implements plan.Source.
func (p *groupPart) Member(key *ast.Term) (*ast.Term, error) {
	g := &p.sorting.groups[p.which]
	switch terms.Text(key) {
	case "counts":
		if p.counts == nil {
			p.counts = p.sorting.counted(g)
		}
		return p.counts, nil
	case "ids":
		if p.ids == nil {
			p.ids = terms.NewTexts(g.names())
		}
		return p.ids, nil
	case "findings":
		found := make([]*ast.Term, len(g.at))
		for i, at := range g.at {
			found[i] = p.sorting.report.Term(int(at))
		}
		return ast.ArrayTerm(found...), nil
	case "until":
		if p.which == New && len(g.at) > 0 {
			end := new(big.Int).Mul(big.NewInt(p.sorting.rules.graceDays), big.NewInt(wanted.Day))
			return ast.NumberTerm(json.Number(end.Add(end, big.NewInt(p.sorting.first)).String())), nil
		}
	}
	return nil, nil
}

func (s *sorting) counted(g *group) *ast.Term {
	counts := make([][2]*ast.Term, 0, len(g.counts))
	for i, n := range g.counts {
		if n > 0 {
			counts = append(counts, ast.Item(s.rules.terms[i], terms.NewWhole(int64(n))))
		}
	}
	return ast.ObjectTerm(counts...)
}

// Len implements plan.Source.
func (p *groupPart) Len() (int, error) {
	if t, _ := p.Member(keyUntil); t != nil {
		return 4, nil
	}
	return 3, nil
}

// List implements plan.Source.
func (p *groupPart) List() bool { return false }
