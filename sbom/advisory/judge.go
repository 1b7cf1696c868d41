package advisory

import (
	"cmp"
	"slices"
	"strings"

	"github.com/assay-registry/assay/sbom/ecosystem"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/osv"
)

// What is known of a version and an advisory.
const (
	MatchAffected = 0
	MatchVersion  = 1 // the version cannot be compared
	MatchBounds   = 2 // the record's versions cannot be compared, or it has none
	MatchRelease  = 3 // the package does not tell its release, and not all are affected
	MatchKinds    = 4
)

// maxFixed is how many fixed versions of a finding are kept.
const maxFixed = 4

// ID names an advisory of a database.
type ID struct {
	DB uint16
	ID string
}

// Match is that an advisory concerns a package version.
type Match struct {
	Part     byte // by which of the version's names: see ecosystem.SoughtFor
	Advisory ID
	Sum      [sumSize]byte
	Severity osv.Severity
	State    byte
	Fixed    []string // nearest first
	pro      bool     // by an entry about packages for subscribers; is not kept
}

func compareMatches(a, b Match) int {
	return cmp.Or(cmp.Compare(a.Part, b.Part), cmp.Compare(a.Advisory.DB, b.Advisory.DB), strings.Compare(a.Advisory.ID, b.Advisory.ID))
}

// ReadyItem is an item made ready to be compared with many versions.
type ReadyItem struct {
	*Item
	spans    []readySpan
	listed   []index.ReadyVersion // those of the versions that can be compared
	listedAt []int                // their places, see line
	bad      bool                 // a bound cannot be compared
	builds   bool                 // a bound is one of several builds of a version
	done     bool
}

type readySpan struct {
	from, to     index.ReadyVersion
	first        bool // from the beginning
	end          byte
	text         string // of to
	fromAt, toAt int    // places, see line
}

func (i *ReadyItem) prepare(order string) {
	i.done = true
	for _, s := range i.Item.Spans {
		i.builds = i.builds || strings.ContainsRune(s.from+s.to, '+')
		out := readySpan{first: s.from == "", end: s.end, text: s.to}
		var err error
		if !out.first {
			out.from, err = index.ParseVersion(order, s.from)
		}
		if err == nil && s.end != endNone {
			out.to, err = index.ParseVersion(order, s.to)
		}
		if err != nil {
			i.bad = true
			continue
		}
		i.spans = append(i.spans, out)
	}
	for _, text := range i.Item.Versions {
		if v, err := index.ParseVersion(order, text); err == nil {
			i.listed = append(i.listed, v)
		}
	}
}

// lists reports whether a version is one of those that are listed, however it is written: 1.0 is PyPI's 1.0.0.
func (i *ReadyItem) lists(v index.ReadyVersion) bool {
	return slices.ContainsFunc(i.listed, func(w index.ReadyVersion) bool { return same(v, w) })
}

// within is the place of the interval that holds a version, or -1.
func (i *ReadyItem) within(v index.ReadyVersion) int {
	for n := range i.spans {
		s := &i.spans[n]
		if !s.first {
			if c, err := v.Compare(s.from); err != nil || c < 0 {
				i.bad = i.bad || err != nil
				continue
			}
		}
		if s.end == endNone {
			return n
		}
		c, err := v.Compare(s.to)
		if i.bad = i.bad || err != nil; err == nil && (c < 0 || c == 0 && s.end == endLast) {
			return n
		}
	}
	return -1
}

// fixedFrom lists versions that fix what a version in an interval has: the end of that interval first, then those of the intervals after it.
func (i *ReadyItem) fixedFrom(n int) (list []string) {
	for ; n < len(i.spans) && len(list) < maxFixed; n++ {
		if s := &i.spans[n]; s.end == endFixed && !slices.Contains(list, s.text) {
			list = append(list, s.text)
		}
	}
	return list
}

// Entry is what one database says about a name in one release.
type Entry struct {
	Release string
	DB      uint16
	Items   []ReadyItem
	Weight  int // comparisons with all items, about
}

// Prepared is all that is said about a name.
type Prepared struct {
	Order   string
	Strict  bool // a version begins with a digit
	Entries []Entry

	asked int  // versions
	line  line // nil: versions have no places
}

// installed is a version that a package has.
type installed struct {
	text   string
	v      index.ReadyVersion
	public index.ReadyVersion // without what tells builds of a version apart, where advisories do not speak of those
	local  bool               // they differ
	at     int                // its place, see line; -1: it has none
	ok     bool               // it can be compared
}

// parse makes an installed version ready. What has no digit where there must be one is no version, though some rules would order it.
func (p *Prepared) parse(version string) (in installed) {
	in.text, in.at = version, -1
	text := strings.TrimPrefix(strings.TrimPrefix(version, "v"), "V")
	if p.Strict && (text == "" || text[0] < '0' || text[0] > '9' || commit(text)) || !strings.ContainsAny(version, "0123456789") || strings.Contains(version, "${") {
		return in
	}
	var err error
	in.v, err = index.ParseVersion(p.Order, version)
	in.public, in.ok = in.v, err == nil
	if public, _, ok := strings.Cut(version, "+"); ok && in.ok && p.Order == "PyPI" { // PEP 440, "Local version identifiers": specifiers pass over it
		in.local = true
		in.public, err = index.ParseVersion(p.Order, public)
		in.ok = err == nil
	}
	return in
}

// of is the version to compare with an item.
func (in *installed) of(i *ReadyItem) index.ReadyVersion {
	if i.builds {
		return in.v
	}
	return in.public
}

// commit reports whether a version is the sum of a commit, which some would read as a number with a tail.
func commit(s string) bool {
	return len(s) == 40 && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

// concerns reports whether what is said is about a release, if the package tells one.
func (e *Entry) concerns(s ecosystem.Sought) bool {
	return e.Release == s.Release || e.Release == ecosystem.AnyRelease || s.Release == ecosystem.UnknownRelease || e.Release == s.Release+ecosystem.ProSuffix
}

// Weight is how many comparisons a version takes, about.
func (p *Prepared) Weight(s ecosystem.Sought) (n int) {
	for k := range p.Entries {
		n += side(p.Entries[k].concerns(s)) * p.Entries[k].Weight
	}
	return n
}

// Match finds what concerns a version.
func (p *Prepared) Match(part byte, s ecosystem.Sought) []Match {
	if len(p.Entries) == 0 {
		return nil
	}
	version := p.parse(s.Version)
	if p.aligned(); p.line != nil && version.ok {
		if at, ok := p.line.place(version.v); ok {
			version.at = at
		}
	}
	var list []Match
	for n := range p.Entries {
		e := &p.Entries[n]
		if !e.concerns(s) {
			continue
		}
		for k := range e.Items {
			if m, hit := e.Items[k].match(p.Order, &version); hit {
				m.Part, m.Advisory.DB, m.pro = part, e.DB, strings.HasSuffix(e.Release, ecosystem.ProSuffix)
				list = append(list, m)
			}
		}
	}
	if s.Release == ecosystem.UnknownRelease {
		return p.overReleases(list)
	}
	if strings.Contains(s.Version, "esm") {
		list = p.subscribed(s.Release, list)
	}
	return merged(list)
}

// subscribed is for a package for Ubuntu's subscribers: where a record tells about those, that alone counts. For everybody else both do: what is fixed for
// subscribers alone is unfixed, and known to have a fix.
func (p *Prepared) subscribed(release string, list []Match) []Match {
	told := map[ID]bool{}
	for _, e := range p.Entries {
		for _, i := range e.Items {
			told[ID{e.DB, i.ID}] = told[ID{e.DB, i.ID}] || e.Release == release+ecosystem.ProSuffix
		}
	}
	return slices.DeleteFunc(list, func(m Match) bool { return !m.pro && told[m.Advisory] })
}

func (i *ReadyItem) match(order string, in *installed) (Match, bool) {
	if !i.done {
		i.prepare(order)
	}
	m, v := Match{Advisory: ID{ID: i.ID}, Sum: i.Sum, Severity: i.severity}, in.of(i)
	if in.at >= 0 {
		return i.placed(m, in)
	}
	if slices.Contains(i.Versions, in.text) || in.ok && (i.lists(in.public) || in.local && i.lists(in.v)) {
		m.Fixed = i.after(v, in.ok)
		return m, true
	}
	if !in.ok {
		m.State, m.Fixed = MatchVersion, i.fixedFrom(0)
		return m, true
	}
	if n := i.within(v); n >= 0 {
		m.Fixed = i.fixedFrom(n)
		return m, true
	}
	m.State = MatchBounds
	return m, i.bad || i.vague
}

// after lists fixed versions that are above a version outside of all intervals.
func (i *ReadyItem) after(v index.ReadyVersion, comparable bool) (list []string) {
	if !comparable {
		return i.fixedFrom(0)
	}
	for n := range i.spans {
		if s := &i.spans[n]; s.end == endFixed && len(list) < maxFixed {
			if c, err := v.Compare(s.to); err == nil && c < 0 {
				list = append(list, s.text)
			}
		}
	}
	return list
}

// merged brings matches into order, each advisory once: what is certain before what is not, what is fixed before what is not.
func merged(list []Match) []Match {
	slices.SortStableFunc(list, func(a, b Match) int {
		return cmp.Or(compareMatches(a, b), cmp.Compare(a.State, b.State), cmp.Compare(side(len(a.Fixed) == 0), side(len(b.Fixed) == 0)))
	})
	return slices.CompactFunc(list, func(a, b Match) bool { return compareMatches(a, b) == 0 })
}

// overReleases is for a package that does not tell its release: what concerns it in all releases that the database has the name of is certain, the rest is not.
func (p *Prepared) overReleases(list []Match) []Match {
	releases, hits := map[uint16]int{}, map[ID]int{}
	for _, e := range p.Entries {
		releases[e.DB]++
	}
	for _, m := range list {
		if m.State == MatchAffected {
			hits[m.Advisory]++
		}
	}
	for n := range list {
		if m := &list[n]; m.State == MatchAffected && hits[m.Advisory] < releases[m.Advisory.DB] {
			m.State = MatchRelease
		}
	}
	return merged(list)
}
