package triage

import (
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/assay-registry/assay/policy/plan"
	"github.com/assay-registry/assay/policy/terms"
	"github.com/assay-registry/assay/policy/wanted"
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
// into {"excused", "new", "left", "ids"}: what an entry or a statement excuses, else what is new, else what is left. Each has findings, counts (by severity) and ids (sorted, each once), and new has
// until, when the first of it is new no more. The ids beside them are those of what is new and left. A rule that is not known ends the evaluation.

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

// The names of what is asked of a finding, and of a statement about it.
var (
	keyID         = ast.StringTerm("id")
	keySeverity   = ast.StringTerm("severity")
	keyPackage    = ast.StringTerm("package")
	keyFixedIn    = ast.StringTerm("fixed_in")
	keyPublished  = ast.StringTerm("published")
	keyStatements = ast.StringTerm("statements")
	keyAliases    = ast.StringTerm("aliases")
	keyAuthority  = ast.StringTerm("authority")
	keySuppresses = ast.StringTerm("suppresses")
)

// Group is where a finding goes.
type Group int

// The groups of findings.
const (
	Excused Group = iota
	New
	Left
	manyGroups
)

// rules are what a policy says of findings.
type rules struct {
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

// Sort is the built-in, its answer as a policy reads it. Where note is not nil, it is told of each finding where it goes.
func Sort(findings, by *ast.Term, note func(f ast.Object, where Group)) (*ast.Term, error) {
	r := rules{steps: wanted.MaxSteps}
	if err := r.read(by); err != nil {
		return nil, err
	}
	s := newSorting(&r)
	s.note = note
	if u, ok := findings.Value.(*plan.Unread); ok {
		if report := reportOf(u.Source); report != nil && s.all(report) {
			return s.answer()
		}
		if err := plan.Make(findings); err != nil {
			return nil, err
		}
		if s = newSorting(&r); r.steps > 0 {
			r.steps = wanted.MaxSteps
		}
	}
	list, ok := findings.Value.(*ast.Array)
	if !ok {
		return nil, fmt.Errorf("a %s stands where findings of a report are wanted", ast.ValueName(findings.Value))
	}
	s.all(termReport{list})
	return s.answer()
}

// read has the rules. Times that are over, and entries that are none, excuse nothing.
func (r *rules) read(t *ast.Term) error {
	var ignore *ast.Term
	err := wanted.EachMember(t, func(name string, v *ast.Term) (err error) {
		ok := true
		switch name {
		case "severities":
			r.severities, err = wanted.Texts(v)
		case "fixable_only":
			_, ok = v.Value.(ast.Boolean)
			r.fixableOnly = v.Value.Compare(ast.Boolean(true)) == 0
		case "grace_days":
			r.graceDays, ok = terms.Whole(v)
		case "now":
			r.now, ok = terms.Whole(v)
		case "ignore":
			ignore = v
		case "vex":
			r.respect = terms.Text(v) == "respect"
			ok = r.respect || terms.Text(v) == "ignore"
		case "vex_authorities":
			r.heard, err = wanted.Texts(v)
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
	if r.now <= 0 && (r.graceDays > 0 || ignore != nil && terms.Length(ignore) > 0) {
		return fmt.Errorf("whether findings are new, or entries are over, cannot be told without now")
	}
	for _, s := range r.severities {
		r.terms = append(r.terms, ast.StringTerm(s))
	}
	return r.entries(ignore)
}

// entries reads what is ignored now.
func (r *rules) entries(t *ast.Term) error {
	if t == nil {
		return nil
	}
	return wanted.EachOf(t, func(t *ast.Term) error {
		entry, ok := t.Value.(ast.Object)
		if !ok {
			return fmt.Errorf("a %s stands where an entry of what is ignored is wanted", ast.ValueName(t.Value))
		}
		end, ok := wanted.Instant(terms.TextIn(entry, keyExpires))
		if id, pattern := terms.TextIn(entry, keyID), terms.TextIn(entry, keyPackage); ok && id != "" && pattern != "" && end.UnixNano() > r.now {
			if r.ignore == nil {
				r.ignore = map[string][]string{}
			}
			r.ignore[id] = append(r.ignore[id], pattern)
		}
		return nil
	})
}
