package engine

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

// The built-in assay.findings(findings, rules) sorts findings of a report, such as input.vulnerabilities.top, by rules that have any of
//
//	severities       that are looked at; the others are left out
//	fixable_only     true leaves out what no version fixes
//	grace_days, now  what was published fewer days before now (nanoseconds since 1970) is new; what has no date is not
//	ignore           entries {id, package, expires}: a finding by its id or an alias, in a package (exact or a glob, as of paths), until a time
//	vex              "respect" lets statements excuse, "ignore" does not
//	vex_authorities  whose statements are heard; none is anybody's but the registry's. Of several the first decides
//
// into {"excused", "new", "left"}: what an entry or a statement excuses, else what is new, else what is left. Each has findings, counts (by severity) and ids (sorted, each once), and new has
// until, when the first of it is new no more. A rule that is not known ends the evaluation.

// The names of rules and answers.
var (
	keyExcused  = ast.StringTerm("excused")
	keyNew      = ast.StringTerm("new")
	keyLeft     = ast.StringTerm("left")
	keyFindings = ast.StringTerm("findings")
	keyCounts   = ast.StringTerm("counts")
	keyIDs      = ast.StringTerm("ids")
	keyUntil    = ast.StringTerm("until")
	keyExpires  = ast.StringTerm("expires")
)

// Where a finding goes.
const (
	findingExcused = iota
	findingNew
	findingLeft
	findingGroups
)

// findingRules are what a policy says of findings.
type findingRules struct {
	severities  []string
	terms       []*ast.Term // of them
	fixableOnly bool
	graceDays   int64
	now         int64
	ignore      map[string][]string // by id the packages, as patterns
	respect     bool
	heard       []string
	steps       int
}

func judgeFindings(bctx rego.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
	list, ok := operands[0].Value.(*ast.Array)
	if !ok {
		return nil, fmt.Errorf("a %s stands where findings of a report are wanted", ast.ValueName(operands[0].Value))
	}
	r := findingRules{steps: maxGlobSteps}
	if err := r.read(operands[1]); err != nil {
		return nil, err
	}
	s := sorting{rules: &r, recorder: aidsOf(bctx).recorder, query: bctx.QueryID}
	for i := range s.groups {
		s.groups[i].counts = make([]int, len(r.severities))
	}
	for i := range list.Len() {
		s.add(list.Elem(i))
		if r.steps <= 0 {
			return nil, errTooLong
		}
	}
	return s.value(), nil
}

// read has the rules. Times that are over, and entries that are none, excuse nothing.
func (r *findingRules) read(t *ast.Term) error {
	var ignore *ast.Term
	err := eachWanted(t, func(name string, v *ast.Term) (err error) {
		ok := true
		switch name {
		case "severities":
			r.severities, err = textsOf(v)
		case "fixable_only":
			_, ok = v.Value.(ast.Boolean)
			r.fixableOnly = v.Value.Compare(ast.Boolean(true)) == 0
		case "grace_days":
			r.graceDays, ok = wholeOf(v)
		case "now":
			r.now, ok = wholeOf(v)
		case "ignore":
			ignore = v
		case "vex":
			r.respect = text(v) == "respect"
			ok = r.respect || text(v) == "ignore"
		case "vex_authorities":
			r.heard, err = textsOf(v)
		default:
			return fmt.Errorf("findings are sorted by severities, fixable_only, grace_days, now, ignore, vex and vex_authorities, and not by %.40q", name)
		}
		if !ok {
			return fmt.Errorf("a %s stands where the rule %s of findings is wanted", ast.ValueName(v.Value), name)
		}
		return err
	})
	if err != nil {
		return err
	}
	if r.now <= 0 && (r.graceDays > 0 || ignore != nil && length(ignore) > 0) {
		return fmt.Errorf("whether findings are new, or entries are over, cannot be told without now")
	}
	for _, s := range r.severities {
		r.terms = append(r.terms, ast.StringTerm(s))
	}
	return r.entries(ignore)
}

// entries reads what is ignored now.
func (r *findingRules) entries(t *ast.Term) error {
	if t == nil {
		return nil
	}
	return eachOf(t, func(t *ast.Term) error {
		entry, ok := t.Value.(ast.Object)
		if !ok {
			return fmt.Errorf("a %s stands where an entry of what is ignored is wanted", ast.ValueName(t.Value))
		}
		end, ok := instant(memberText(entry, keyExpires))
		if id, pattern := memberText(entry, keyID), memberText(entry, keyPackage); ok && id != "" && pattern != "" && end.UnixNano() > r.now {
			if r.ignore == nil {
				r.ignore = map[string][]string{}
			}
			r.ignore[id] = append(r.ignore[id], pattern)
		}
		return nil
	})
}

// eachOf calls f for the members of an array or a set.
func eachOf(t *ast.Term, f func(*ast.Term) error) error {
	switch v := t.Value.(type) {
	case *ast.Array:
		return v.Iter(f)
	case ast.Set:
		return v.Iter(f)
	}
	return fmt.Errorf("a %s stands where a list is wanted", ast.ValueName(t.Value))
}

// sorting is findings on their way into groups.
type sorting struct {
	rules  *findingRules
	groups [findingGroups]findingGroup
	first  int64 // when the first of what is new was published

	recorder *recorder // tells a person which finding went where; nil where nobody asked
	query    uint64
}

type findingGroup struct {
	findings, ids []*ast.Term
	counts        []int // of each severity that is looked at
}

// add puts a finding where it belongs, if it is looked at.
func (s *sorting) add(t *ast.Term) {
	f, ok := t.Value.(ast.Object)
	if !ok {
		return
	}
	severity := slices.Index(s.rules.severities, memberText(f, keySeverity))
	if severity < 0 || s.rules.fixableOnly && !fixed(f) {
		return
	}
	where, at := findingLeft, int64(0)
	if s.rules.ignored(f) || s.rules.excused(f) {
		where = findingExcused
	} else if at, ok = s.rules.fresh(f); ok {
		where = findingNew
		if g := &s.groups[findingNew]; len(g.findings) == 0 || at < s.first {
			s.first = at
		}
	}
	g := &s.groups[where]
	g.findings = append(g.findings, t)
	g.counts[severity]++
	if id := f.Get(keyID); id != nil {
		if _, ok := id.Value.(ast.String); ok {
			g.ids = append(g.ids, id)
		}
	}
	if s.recorder != nil {
		s.recorder.finding(s.query, f, where)
	}
}

// fixed reports whether a version fixes it.
func fixed(f ast.Object) bool {
	t := f.Get(keyFixedIn)
	return t != nil && t.Value.Compare(ast.String("")) != 0
}

// ignored reports whether an entry that is not over names a finding.
func (r *findingRules) ignored(f ast.Object) bool {
	if len(r.ignore) == 0 {
		return false
	}
	name := memberText(f, keyPackage)
	if r.borne(memberText(f, keyID), name) {
		return true
	}
	t := f.Get(keyAliases)
	if t == nil {
		return false
	}
	aliases, ok := t.Value.(*ast.Array)
	return ok && aliases.Until(func(t *ast.Term) bool { return r.borne(text(t), name) })
}

func (r *findingRules) borne(id, name string) bool {
	return slices.ContainsFunc(r.ignore[id], func(p string) bool { return p == "**" || inPaths.match(p, name, &r.steps) })
}

// excused reports whether the first statement that is heard excuses a finding.
func (r *findingRules) excused(f ast.Object) bool {
	if !r.respect {
		return false
	}
	t := f.Get(keyStatements)
	if t == nil {
		return false
	}
	list, ok := t.Value.(*ast.Array)
	if !ok {
		return false
	}
	for i := range list.Len() {
		if said, ok := list.Elem(i).Value.(ast.Object); ok && r.hears(said.Get(keyAuthority)) {
			return flagged(said, keySuppresses)
		}
	}
	return false
}

func (r *findingRules) hears(authority *ast.Term) bool {
	if authority == nil {
		return false
	}
	name := text(authority)
	return name != "registry" && (len(r.heard) == 0 && name != "" || slices.Contains(r.heard, name))
}

// fresh is when a finding was published that is new.
func (r *findingRules) fresh(f ast.Object) (published int64, ok bool) {
	if r.graceDays <= 0 {
		return 0, false
	}
	at, ok := instant(memberText(f, keyPublished))
	if !ok {
		return 0, false
	}
	published = at.UnixNano()
	return published, published >= r.now || r.graceDays > (r.now-published)/dayNanoseconds // now - published < days, rounded down to whole ones
}

// value is what a policy reads.
func (s *sorting) value() *ast.Term {
	var until *ast.Term
	if len(s.groups[findingNew].findings) > 0 {
		end := new(big.Int).Mul(big.NewInt(s.rules.graceDays), big.NewInt(dayNanoseconds))
		until = ast.NumberTerm(json.Number(end.Add(end, big.NewInt(s.first)).String()))
	}
	return ast.ObjectTerm(ast.Item(keyExcused, s.group(findingExcused, nil)), ast.Item(keyLeft, s.group(findingLeft, nil)), ast.Item(keyNew, s.group(findingNew, until)))
}

func (s *sorting) group(which int, until *ast.Term) *ast.Term {
	g := &s.groups[which]
	counts := make([][2]*ast.Term, 0, len(g.counts))
	for i, n := range g.counts {
		if n > 0 {
			counts = append(counts, ast.Item(s.rules.terms[i], wholeTerm(int64(n))))
		}
	}
	byText := func(a, b *ast.Term) int { return strings.Compare(text(a), text(b)) }
	if !slices.IsSortedFunc(g.ids, byText) {
		slices.SortFunc(g.ids, byText)
	}
	ids := slices.CompactFunc(g.ids, func(a, b *ast.Term) bool { return text(a) == text(b) })
	members := [4][2]*ast.Term{ast.Item(keyCounts, ast.ObjectTerm(counts...)), ast.Item(keyFindings, ast.ArrayTerm(g.findings...)), ast.Item(keyIDs, ast.ArrayTerm(ids...))}
	if until == nil {
		return ast.ObjectTerm(members[:3]...)
	}
	members[3] = ast.Item(keyUntil, until)
	return ast.ObjectTerm(members[:]...)
}
