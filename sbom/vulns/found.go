package vulns

import (
	"crypto/sha256"
	"slices"

	"github.com/assay-registry/assay/sbom/advisory"
	"github.com/assay-registry/assay/sbom/ecosystem"
	"github.com/assay-registry/assay/sbom/osv"
	"github.com/assay-registry/assay/sbom/pack"
	"github.com/assay-registry/assay/store"
)

// maxFound is how many bytes of findings are kept of a package version, before they are packed: about a hundred. Of one with more, such as an old kernel, it is kept that there are, how many, and a sum of them, by which an
// import knows whether they differ; who reads them finds them out. Else an inventory of 50,000 made-up versions of what has thousands of advisories would be gigabytes.
const maxFound = 4 << 10

// sumFound is how many bytes of that sum are kept.
const sumFound = 16

// encodeMatches makes the record of what was found for a package version; without anything it is nil. The list is in order.
func encodeMatches(list []advisory.Match) []byte {
	if len(list) == 0 {
		return nil
	}
	w := pack.Writer{}
	w.Number(uint64(len(list)))
	for _, m := range list {
		w.B = append(w.B, m.Part)
		w.Number(uint64(m.Advisory.DB))
		w.Text(m.Advisory.ID)
		w.B = append(append(w.B, m.Sum[:]...), byte(m.Severity), m.State)
		w.Texts(m.Fixed)
	}
	if len(w.B) > maxFound {
		sum := sha256.Sum256(w.B)
		w.B = w.B[:0]
		w.Number(0) // as no list begins
		w.Number(uint64(len(list)))
		w.B = append(w.B, sum[:sumFound]...)
	}
	return w.Record()
}

// decodeMatches reads such a record. Where there are too many to be kept, the list is empty.
func decodeMatches(b []byte) (list []advisory.Match, many bool, err error) {
	if b == nil {
		return nil, false, nil
	}
	r := pack.Open(b)
	n := r.Count()
	if n == 0 {
		if count := r.Number(); r.Bad || count == 0 || len(r.B) != sumFound {
			return nil, false, pack.Damaged("record of findings")
		}
		return nil, true, nil
	}
	list = make([]advisory.Match, 0, min(n, 4096))
	for range n {
		m := advisory.Match{Part: r.Byte()}
		db := r.Number()
		m.Advisory = advisory.ID{DB: uint16(db), ID: r.Text()}
		for n := range m.Sum {
			m.Sum[n] = r.Byte()
		}
		if m.Severity, m.State, m.Fixed = osv.Severity(r.Byte()), r.Byte(), r.Texts(); db > 1<<16-1 || m.Severity > osv.Critical || m.State >= advisory.MatchKinds {
			r.Fail()
		}
		list = append(list, m)
	}
	if !r.Done() {
		return nil, false, pack.Damaged("record of findings")
	}
	return list, false, nil
}

// named reads what is said about a name, or what one advisory says about it: one look-up.
func (r reading) named(k ecosystem.Key, only *advisory.ID) (*advisory.Prepared, error) {
	p := &advisory.Prepared{Order: k.Order(), Strict: k.Semantic()}
	prefix := namePrefix(k, 'n')
	err := r.each(prefix, upTo(prefix), func(pair store.Pair) error {
		key, db, ok := entryIn(pair.Key)
		if !ok {
			return pack.Damaged("entry of a name")
		}
		v, err := visible(pair.Value, r.generation)
		if err != nil {
			return err
		}
		e, any, bad := advisory.Entry{Release: key.Release, DB: db}, false, false
		if err := advisory.EachItem(v.bytes, func(b []byte) {
			any = true
			in := pack.Reader{B: b}
			if only != nil && (db != only.DB || (&pack.Reader{B: b}).Text() != only.ID) {
				return
			}
			i := advisory.DecodeItem(&in)
			bad = bad || !in.Done()
			e.Items = append(e.Items, advisory.ReadyItem{Item: &i})
			e.Weight += 1 + len(i.Spans) + len(i.Versions)
		}); err != nil || bad {
			return pack.Damaged("entry of a name")
		}
		if any { // that the release is spoken of counts, whatever is said
			p.Entries = append(p.Entries, e)
		}
		return nil
	})
	return p, err
}

// heldBy lists the package versions that an advisory was found for, as readers see it.
func (r reading) heldBy(id advisory.ID, a *advisory.Known, fn func(version uint32)) error {
	var last ecosystem.Key
	for _, k := range a.Keys {
		if k.Key == last { // keys are sorted, releases last
			continue
		}
		last = k.Key
		var said *advisory.Prepared // by it alone, where a version has too many others
		prefix := namePrefix(last, 'v')
		if err := r.each(prefix, upTo(prefix), func(p store.Pair) error {
			if len(p.Key) != len(prefix)+4 {
				return pack.Damaged("record of a package version")
			}
			version := tail4(p.Key)
			b, err := r.get(versionKey('f', version))
			if err != nil {
				return err
			}
			list, many, err := decodeMatches(b)
			if many {
				part, sought, err := decodeSought(last, p.Value)
				if err == nil && said == nil {
					said, err = r.named(last, &id)
				}
				if err != nil {
					return err
				}
				list = said.Match(byte(part), sought)
			}
			if err == nil && slices.ContainsFunc(list, func(m advisory.Match) bool { return m.Advisory == id }) {
				fn(version)
			}
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}
