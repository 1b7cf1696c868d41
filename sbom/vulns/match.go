package vulns

import (
	"encoding/binary"

	"github.com/assay-registry/assay/sbom/advisory"
	"github.com/assay-registry/assay/sbom/ecosystem"
	"github.com/assay-registry/assay/sbom/osv"
	"github.com/assay-registry/assay/sbom/pack"
)

// advisory reads one; nil means that there is none.
func (r reading) advisory(id advisory.ID) (*advisory.Known, error) {
	b, err := r.get(advisoryKey(id.DB, id.ID))
	if err != nil || b == nil {
		return nil, err
	}
	return advisory.DecodeKnown(id.ID, b)
}

// linked lists the advisories that go by an identifier, in the order of databases and ids.
func (r reading) linked(name string) ([]advisory.ID, []*advisory.Known, error) {
	var ids []advisory.ID
	var list []*advisory.Known
	prefix := linkPrefix(name)
	for _, p := range r.s.Scan(prefix, upTo(prefix), maxLinked) {
		_, id, ok := linkIn(p.Key)
		if !ok {
			return nil, nil, pack.Damaged("identifier")
		}
		a, err := r.advisory(id)
		if err != nil {
			return nil, nil, err
		}
		if a != nil && a.GoesBy(name) {
			ids, list = append(ids, id), append(list, a)
		}
	}
	return ids, list, nil
}

// maxLinked is how many advisories are looked at for one identifier.
const maxLinked = 4096

// evaluator finds what concerns package versions. It remembers what it read, so it serves one snapshot.
type evaluator struct {
	reading
	names    map[ecosystem.Key]*advisory.Prepared
	lent     map[advisory.ID]osv.Severity
	prepared int // see maxPrepared
	work     int // comparisons until now, about; what was read counts as several
}

func newEvaluator(r reading) *evaluator {
	return &evaluator{reading: r, names: map[ecosystem.Key]*advisory.Prepared{}, lent: map[advisory.ID]osv.Severity{}}
}

// at has the evaluator serve another snapshot. What it remembers holds as long as that is of the same generation: what databases say changes with those alone.
func (e *evaluator) at(r reading) {
	if r.generation != e.generation {
		clear(e.names)
		clear(e.lent)
		e.prepared = 0
	}
	e.reading = r
}

// maxPrepared is how much an evaluator remembers: names, and intervals and versions that are said of them, of some 300 bytes each.
const maxPrepared = 1 << 18

// find matches one name of a package version.
func (e *evaluator) find(part int, s ecosystem.Sought) ([]advisory.Match, error) {
	p := e.names[s.Key]
	if p == nil {
		var err error
		if p, err = e.named(s.Key, nil); err != nil {
			return nil, err
		}
		weight := 1
		for _, one := range p.Entries {
			weight += one.Weight
		}
		if e.prepared += weight; e.prepared > maxPrepared {
			clear(e.names)
			e.prepared = weight
		}
		e.names[s.Key] = p
		e.work += 4 * (weight - 1)
	}
	e.work += p.Weight(s)
	list := p.Match(byte(part), s)
	for n := range list {
		if m := &list[n]; m.Severity == osv.Unknown {
			var err error
			if m.Severity, err = e.lend(m.Advisory); err != nil {
				return nil, err
			}
		}
	}
	return list, nil
}

// findAll matches a package version.
func (e *evaluator) findAll(list []ecosystem.Sought) (all []advisory.Match, err error) {
	for part, s := range list {
		found, err := e.find(part, s)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// lend finds a severity for an advisory without one: the worst of those that are about the same single CVE.
func (e *evaluator) lend(id advisory.ID) (osv.Severity, error) {
	if s, ok := e.lent[id]; ok {
		return s, nil
	}
	a, err := e.advisory(id)
	if err != nil {
		return osv.Unknown, err
	}
	worst := osv.Unknown
	if a != nil && len(a.CVEs) == 1 {
		_, others, err := e.linked(a.CVEs[0])
		if err != nil {
			return osv.Unknown, err
		}
		for _, o := range others {
			if len(o.CVEs) == 1 && o.Withdrawn.IsZero() {
				worst = max(worst, o.Severity)
			}
		}
	}
	e.lent[id] = worst
	return worst, nil
}

// encodeSought is the value of a version under one of its names: what is needed to match it again.
func encodeSought(part int, s ecosystem.Sought) []byte {
	w := pack.Writer{B: []byte{pack.FormPlain, byte(part)}}
	w.Text(s.Release)
	w.Text(s.Version)
	return w.B
}

func decodeSought(k ecosystem.Key, b []byte) (part int, s ecosystem.Sought, err error) {
	r := pack.Open(b)
	part = int(r.Byte())
	s = ecosystem.Sought{Key: k, Release: r.Text(), Version: r.Text()}
	if !r.Done() || part > 1 {
		return 0, s, pack.Damaged("record of a package version")
	}
	return part, s, nil
}

// encodeMatched is the record of a version: by what it is looked up, and its class.
func encodeMatched(list []ecosystem.Sought, class string) []byte {
	w := pack.Writer{}
	w.Number(uint64(len(list)))
	for _, s := range list {
		for _, text := range [...]string{s.Key.Base, s.Key.Name, s.Release, s.Version} {
			w.Text(text)
		}
	}
	w.Text(class)
	return w.Record()
}

func decodeMatched(b []byte) (list []ecosystem.Sought, class string, err error) {
	r := pack.Open(b)
	for range r.Count() {
		list = append(list, ecosystem.Sought{Key: ecosystem.Key{Base: r.Text(), Name: r.Text()}, Release: r.Text(), Version: r.Text()})
	}
	if len(r.B) > 0 { // other rules kept none
		class = r.Text()
	}
	if !r.Done() || len(class) > maxClass {
		return nil, "", pack.Damaged("record of a package version")
	}
	return list, class, nil
}

// replaced exchanges the matches of one part.
func replaced(all []advisory.Match, part byte, list []advisory.Match) []advisory.Match {
	out := make([]advisory.Match, 0, len(all)+len(list))
	for _, m := range all {
		if m.Part < part {
			out = append(out, m)
		}
	}
	out = append(out, list...)
	for _, m := range all {
		if m.Part > part {
			out = append(out, m)
		}
	}
	return out
}

// packIDs writes package versions, rising.
func packIDs(ids []uint32) []byte {
	w := pack.Writer{B: make([]byte, 0, len(ids)+binary.MaxVarintLen64)}
	w.Ascending(ids)
	return w.B
}
