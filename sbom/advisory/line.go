package advisory

import (
	"slices"

	"github.com/assay-registry/assay/sbom/index"
)

// A kernel has ten thousand records, and a registry may hold as many versions of it: each would be compared with each. Where many versions are asked about, the versions of all records are brought into
// one line; a version finds its place in that by a few comparisons, and the rest are comparisons of numbers.

const (
	lineFrom  = 256 // comparisons with a version, about, from which a line is worth it
	lineAfter = 4   // versions that were asked about before there is one
)

// lines are the orders that are a line: of any two versions one is before the other, or they are the same, and so of any three. Maven's is none.
var lines = map[string]bool{"Debian": true, "Ubuntu": true, "Red Hat": true}

// line are the versions of all records of a name, in order, each once.
type line []index.ReadyVersion

// place is where a version is: 2n+1 is at the nth of the line, 2n before that and behind the one before. ok is false where they cannot be compared.
func (l line) place(v index.ReadyVersion) (at int, ok bool) {
	ok = true
	n, found := slices.BinarySearchFunc(l, v, func(a, b index.ReadyVersion) int {
		c, err := a.Compare(b)
		ok = ok && err == nil
		return c
	})
	return 2*n + side(found), ok
}

// aligned makes a line of what records say, if it is worth it, and gives each of their versions its place.
func (p *Prepared) aligned() {
	if p.asked++; p.asked != lineAfter || !lines[p.Order] {
		return
	}
	weight := 0
	for n := range p.Entries {
		weight += p.Entries[n].Weight
	}
	if weight < lineFrom {
		return
	}
	var all line
	p.bounds(func(v index.ReadyVersion, _ *int) { all = append(all, v) })
	ok := true
	slices.SortFunc(all, func(a, b index.ReadyVersion) int {
		c, err := a.Compare(b)
		ok = ok && err == nil
		return c
	})
	all = slices.CompactFunc(all, same)
	p.bounds(func(v index.ReadyVersion, at *int) {
		place, known := all.place(v)
		*at, ok = place, ok && known
	})
	if p.line = all; !ok {
		p.line = nil
	}
}

// bounds shows the versions of all records, and where their place is kept.
func (p *Prepared) bounds(fn func(v index.ReadyVersion, at *int)) {
	for n := range p.Entries {
		for k := range p.Entries[n].Items {
			i := &p.Entries[n].Items[k]
			if !i.done {
				i.prepare(p.Order)
			}
			for s := range i.spans {
				if !i.spans[s].first {
					fn(i.spans[s].from, &i.spans[s].fromAt)
				}
				if i.spans[s].end != endNone {
					fn(i.spans[s].to, &i.spans[s].toAt)
				}
			}
			if i.listedAt == nil {
				i.listedAt = make([]int, len(i.listed))
			}
			for n, v := range i.listed {
				fn(v, &i.listedAt[n])
			}
		}
	}
}

// placed is match for a version with a place.
func (i *ReadyItem) placed(m Match, in *installed) (Match, bool) {
	if slices.Contains(i.listedAt, in.at) || len(i.listed) < len(i.Versions) && slices.Contains(i.Versions, in.text) {
		for n := range i.spans {
			if s := &i.spans[n]; s.end == endFixed && len(m.Fixed) < maxFixed && in.at < s.toAt {
				m.Fixed = append(m.Fixed, s.text)
			}
		}
		return m, true
	}
	for n := range i.spans {
		s := &i.spans[n]
		if (s.first || in.at >= s.fromAt) && (s.end == endNone || in.at < s.toAt || in.at == s.toAt && s.end == endLast) {
			m.Fixed = i.fixedFrom(n)
			return m, true
		}
	}
	m.State = MatchBounds
	return m, i.bad || i.vague
}
