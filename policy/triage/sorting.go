package triage

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/assay-registry/assay/policy/wanted"
)

// sorting is findings on their way into groups.
type sorting struct {
	rules  *rules
	report report
	groups [manyGroups]group
	first  int64 // when the first of what is new was published

	note func(f ast.Object, where Group) // tells a person which finding went where; nil where nobody asked
}

type group struct {
	at     []int32  // its findings, by their place in the report
	ids    []string // of those that have one
	sorted bool     // they are, each once
	counts []int    // of each severity that is looked at
}

func newSorting(r *rules) *sorting {
	s := &sorting{rules: r}
	for i := range s.groups {
		s.groups[i].counts = make([]int, len(r.severities))
	}
	return s
}

// all sorts the findings of a report, unless it cannot be read or there are no steps left.
func (s *sorting) all(r report) bool {
	s.report = r
	return r.each(func(i int, f finding) bool {
		s.add(i, f)
		return s.rules.steps > 0
	})
}

// add puts a finding where it belongs, if it is looked at.
func (s *sorting) add(i int, f finding) {
	severity := slices.Index(s.rules.severities, f.severity())
	if severity < 0 || s.rules.fixableOnly && !f.fixed() {
		return
	}
	where, at := Left, int64(0)
	if s.rules.ignored(f) || s.rules.respect && f.excused(s.rules) {
		where = Excused
	} else if published, ok := s.rules.fresh(f); ok {
		where, at = New, published
		if g := &s.groups[New]; len(g.at) == 0 || at < s.first {
			s.first = at
		}
	}
	g := &s.groups[where]
	if g.at == nil {
		g.at, g.ids = make([]int32, 0, s.report.size()), make([]string, 0, s.report.size())
	}
	g.at = append(g.at, int32(i))
	g.counts[severity]++
	if id, ok := f.id(); ok {
		g.ids = append(g.ids, id)
	}
	if s.note != nil {
		if t, ok := s.report.Term(i).Value.(ast.Object); ok {
			s.note(t, where)
		}
	}
}

// ignored reports whether an entry that is not over names a finding.
func (r *rules) ignored(f finding) bool {
	if len(r.ignore) == 0 {
		return false
	}
	id, _ := f.id()
	name := f.in()
	return r.borne(id, name) || f.alias(func(id string) bool { return r.borne(id, name) })
}

func (r *rules) borne(id, name string) bool {
	return slices.ContainsFunc(r.ignore[id], func(p string) bool { return p == "**" || wanted.InPaths.Match(p, name, &r.steps) })
}

// hears reports whether statements of an authority count.
func (r *rules) hears(authority string) bool {
	return authority != "registry" && (len(r.heard) == 0 && authority != "" || slices.Contains(r.heard, authority))
}

// fresh is when a finding was published that is new.
func (r *rules) fresh(f finding) (published int64, ok bool) {
	if r.graceDays <= 0 {
		return 0, false
	}
	at, ok := wanted.Instant(f.published())
	if !ok {
		return 0, false
	}
	published = at.UnixNano()
	return published, published >= r.now || r.graceDays > (r.now-published)/wanted.Day // now - published < days, rounded down to whole ones
}
