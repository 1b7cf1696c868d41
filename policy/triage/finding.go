package triage

import (
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/plan"
	"github.com/assay-registry/assay/policy/terms"
)

// report has findings, as terms or as they came.
type report interface {
	size() int
	// each calls f for the findings until it returns false, and reports whether all were read, and f wanted them all. What is no finding is left out.
	each(f func(i int, f finding) bool) bool
	// Term is what a policy has of one.
	Term(i int) *ast.Term
}

// finding is what rules ask of one. What it does not say, or says in another type, is empty.
type finding interface {
	id() (string, bool)
	severity() string
	in() string // the package
	fixed() bool
	published() string
	alias(is func(id string) bool) bool // one of its other names is
	excused(r *rules) bool              // by the first statement that is heard
}

// reportOf are findings that are unread; nil if they are none.
func reportOf(s plan.Source) report {
	switch v := s.(type) {
	case *terms.Findings:
		return inputReport{v}
	case *terms.Reported:
		return namedReport{v}
	}
	return nil
}

// inputReport are findings that the registry matched.
type inputReport struct{ *terms.Findings }

func (r inputReport) size() int { return len(r.All()) }

func (r inputReport) each(do func(int, finding) bool) bool {
	list := r.All()
	for i := range list {
		if f := (*inputFinding)(&list[i]); !f.legible() || !do(i, f) {
			return false
		}
	}
	return true
}

// namedReport are findings that a report names, which somebody attested.
type namedReport struct{ *terms.Reported }

func (r namedReport) size() int { return len(r.All()) }

func (r namedReport) each(do func(int, finding) bool) bool {
	f := &mapFinding{}
	for i, one := range r.All() {
		var ok bool
		if f.members, ok = one.(map[string]any); ok && !do(i, f) || f.odd {
			return false
		}
		if !ok {
			f.check(one)
		}
	}
	return !f.odd
}

// termReport are findings as terms.
type termReport struct{ list *ast.Array }

func (r termReport) size() int { return r.list.Len() }

func (r termReport) each(do func(int, finding) bool) bool {
	f := &termFinding{}
	for i := range r.list.Len() {
		var ok bool
		if f.Object, ok = r.list.Elem(i).Value.(ast.Object); ok && !do(i, f) {
			return false
		}
	}
	return true
}

func (r termReport) Term(i int) *ast.Term { return r.list.Elem(i) }

// termFinding is a finding as a term.
type termFinding struct{ ast.Object }

func (f *termFinding) id() (string, bool) {
	t := f.Get(keyID)
	if t == nil {
		return "", false
	}
	id, ok := t.Value.(ast.String)
	return string(id), ok
}

func (f *termFinding) severity() string  { return terms.TextIn(f, keySeverity) }
func (f *termFinding) in() string        { return terms.TextIn(f, keyPackage) }
func (f *termFinding) published() string { return terms.TextIn(f, keyPublished) }

func (f *termFinding) fixed() bool {
	t := f.Get(keyFixedIn)
	return t != nil && t.Value.Compare(ast.String("")) != 0
}

func (f *termFinding) alias(is func(string) bool) bool {
	list, ok := f.array(keyAliases)
	return ok && list.Until(func(t *ast.Term) bool { return is(terms.Text(t)) })
}

func (f *termFinding) excused(r *rules) bool {
	list, ok := f.array(keyStatements)
	for i := 0; ok && i < list.Len(); i++ {
		said, ok := list.Elem(i).Value.(ast.Object)
		if !ok {
			continue
		}
		if by := said.Get(keyAuthority); by != nil && r.hears(terms.Text(by)) {
			return terms.TrueIn(said, keySuppresses)
		}
	}
	return false
}

func (f *termFinding) array(key *ast.Term) (*ast.Array, bool) {
	t := f.Get(key)
	if t == nil {
		return nil, false
	}
	list, ok := t.Value.(*ast.Array)
	return list, ok
}

// inputFinding is a finding of the input.
type inputFinding contract.VulnerabilityInput

func (f *inputFinding) id() (string, bool) { return f.ID, true }
func (f *inputFinding) severity() string   { return f.Severity }
func (f *inputFinding) in() string         { return f.Package }
func (f *inputFinding) fixed() bool        { return f.FixedIn != "" }
func (f *inputFinding) published() string  { return f.Published }

func (f *inputFinding) alias(is func(string) bool) bool {
	for _, a := range f.Aliases {
		if is(a) {
			return true
		}
	}
	return false
}

func (f *inputFinding) excused(r *rules) bool {
	for i := range f.Statements {
		if said := &f.Statements[i]; r.hears(said.Authority) {
			return said.Suppresses
		}
	}
	return false
}

// legible reports whether what rules ask of a finding is UTF-8: else a policy has something else of it.
func (f *inputFinding) legible() bool {
	for _, s := range [...]string{f.ID, f.Severity, f.Package, f.Published} {
		if !utf8.ValidString(s) {
			return false
		}
	}
	for _, a := range f.Aliases {
		if !utf8.ValidString(a) {
			return false
		}
	}
	for i := range f.Statements {
		if !utf8.ValidString(f.Statements[i].Authority) {
			return false
		}
	}
	return true
}

// mapFinding is a finding that a report names, as its JSON has it. It reads what termFinding reads of the same as a term; where that is not sure, it says so.
type mapFinding struct {
	members map[string]any
	odd     bool // something is no UTF-8, or of no type that JSON has
}

func (f *mapFinding) get(name string) any {
	v := f.members[name]
	f.check(v)
	return v
}

// check notices what a policy may have something else of.
func (f *mapFinding) check(v any) {
	switch v := v.(type) {
	case nil, bool, float64, []any, map[string]any:
	case string:
		f.odd = f.odd || !utf8.ValidString(v)
	default:
		f.odd = true
	}
}

func (f *mapFinding) text(name string) string {
	s, _ := f.get(name).(string)
	return s
}

func (f *mapFinding) id() (string, bool) {
	id, ok := f.get("id").(string)
	return id, ok
}

func (f *mapFinding) severity() string  { return f.text("severity") }
func (f *mapFinding) in() string        { return f.text("package") }
func (f *mapFinding) published() string { return f.text("published") }

func (f *mapFinding) fixed() bool {
	v, ok := f.members["fixed_in"]
	f.check(v)
	s, isText := v.(string)
	return ok && (!isText || s != "")
}

func (f *mapFinding) alias(is func(string) bool) bool {
	list, _ := f.get("aliases").([]any)
	for _, a := range list {
		f.check(a)
		if s, _ := a.(string); is(s) {
			return true
		}
	}
	return false
}

func (f *mapFinding) excused(r *rules) bool {
	list, _ := f.get("statements").([]any)
	for _, one := range list {
		f.check(one)
		said, _ := one.(map[string]any)
		by, ok := said["authority"]
		f.check(by)
		if name, _ := by.(string); ok && r.hears(name) {
			f.check(said["suppresses"])
			return said["suppresses"] == true
		}
	}
	return false
}
