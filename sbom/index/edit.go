package index

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

// counters of the index, in the record "#".
const (
	countGeneration = iota
	countNames
	countVersions
	countImages
	countLicenses
	counters
)

// edit gathers the writes of one commit over a snapshot.
type edit struct {
	r        store.SpaceReader
	before   []byte // the counters' record as it was
	counts   [counters]uint32
	writes   map[string][]byte  // nil: deleted
	images   []posted           // changes of the images that hold versions
	postings map[string]*change // of all other postings
	versions map[uint32]*stored
	changed  map[uint32]bool   // versions to be written
	known    map[string]uint32 // numbers that were read or given
	suspect  map[uint32]bool   // names that may have lost their last version
	weight   int               // versions taken in
	spent    bool              // some number was wanted, and all are given
}

func (e *edit) begin(r store.SpaceReader) error {
	*e = edit{r: r, writes: map[string][]byte{}, postings: map[string]*change{}, versions: map[uint32]*stored{}, changed: map[uint32]bool{}, suspect: map[uint32]bool{}, known: map[string]uint32{}}
	e.before = bytes.Clone(r.Get([]byte("#")))
	counts, err := readCounters(e.before)
	e.counts = counts
	return err
}

// readCounters reads the record "#"; without one, all numbers start at 1.
func readCounters(b []byte) (c [counters]uint32, err error) {
	if b == nil {
		return [counters]uint32{0, 1, 1, 1, 1}, nil
	}
	r := reader{b: b}
	for i := range c {
		c[i] = r.small()
	}
	if !r.done() {
		return c, damaged("record of counters")
	}
	return c, nil
}

// next gives a number. None is given twice, so that whoever makes up packages without end comes to the end of the numbers.
func (e *edit) next(kind int) uint32 {
	n := e.counts[kind]
	if e.spent = e.spent || n == math.MaxUint32; !e.spent {
		e.counts[kind]++
	}
	return n
}

func (e *edit) get(key []byte) []byte {
	if v, ok := e.writes[string(key)]; ok {
		return v
	}
	return e.r.Get(key)
}

func (e *edit) put(key, value []byte) { e.writes[string(key)] = value }
func (e *edit) delete(key []byte)     { e.writes[string(key)] = nil }

// any reports whether a key begins with prefix.
func (e *edit) any(prefix []byte) bool {
	for k, v := range e.writes {
		if v != nil && strings.HasPrefix(k, string(prefix)) {
			return true
		}
	}
	return e.held(prefix)
}

// held reports whether the snapshot has a key that begins with prefix and is not deleted.
func (e *edit) held(prefix []byte) bool {
	from := prefix
	for {
		page := e.r.Scan(from, upTo(prefix), 64)
		for _, p := range page {
			if v, ok := e.writes[string(p.Key)]; !ok || v != nil {
				return true
			}
		}
		if len(page) < 64 {
			return false
		}
		from = append(page[len(page)-1].Key, 0)
	}
}

func numberKey0(prefix []byte, n uint32) []byte {
	return binary.BigEndian.AppendUint32(prefix, n)
}

// number reads the number that a name, version or licence has. Images of a batch share most of theirs, so each is read once; none is taken away before the end.
func (e *edit) number(key []byte) (uint32, bool) {
	if n, ok := e.known[string(key)]; ok {
		return n, true
	}
	b := e.r.Get(key)
	if len(b) != 4 {
		return 0, false
	}
	n := binary.BigEndian.Uint32(b)
	e.known[string(key)] = n
	return n, true
}

// intern returns the number of a text, a new one if it has none.
func (e *edit) intern(key []byte, kind int, reverse byte, text string) uint32 {
	if n, ok := e.number(key); ok {
		return n
	}
	n := e.next(kind)
	e.known[string(key)] = n
	e.put(key, binary.BigEndian.AppendUint32(nil, n))
	e.put(numberKey(reverse, n), []byte(text))
	return n
}

func (e *edit) license(text string) uint32 {
	return e.intern(textKey('l', licenseText(text)), countLicenses, 'L', text)
}

// licenseText is the text by which a licence is known.
func licenseText(text string) string { return short(strings.ToLower(text), maxLicense) }

// internVersion returns the number of a package version.
func (e *edit) internVersion(v *PackageVersion) (uint32, error) {
	name := e.intern(textKey('n', v.Name), countNames, 'N', v.Name)
	key := versionKey(name, v.Version, v.sum())
	if n, ok := e.number(key); ok {
		return n, nil
	}
	id := e.next(countVersions)
	e.known[string(key)] = id
	e.put(key, binary.BigEndian.AppendUint32(nil, id))
	s := &stored{name: name, version: *v}
	for _, text := range v.Licenses {
		s.licenses = append(s.licenses, e.license(text))
		for _, member := range sbom.Identifiers(text) {
			s.members = append(s.members, e.license(member))
		}
	}
	slices.Sort(s.members)
	s.members = slices.Compact(s.members)
	e.versions[id], e.changed[id] = s, true
	for _, l := range s.members {
		e.post(numberKey('c', l, chunkOf(id)), id, true)
	}
	return id, nil
}

func (e *edit) version(id uint32) (*stored, error) {
	if s := e.versions[id]; s != nil {
		return s, nil
	}
	b := e.get(numberKey('p', id))
	if b == nil {
		return nil, damaged("package version")
	}
	s, err := decodeStored(b)
	if err == nil {
		e.versions[id] = s
	}
	return s, err
}

// posted is an image that begins or ceases to hold a version. A commit changes few numbers of many postings, so they are not unpacked before the end.
type posted struct {
	version, image uint32
	add            bool
}

// change is what becomes of one posting.
type change struct{ add, remove []uint32 }

// post adds a number to a posting or takes it off. A number is given once in an edit for each posting: images are queued once.
func (e *edit) post(key []byte, n uint32, add bool) {
	c := e.postings[string(key)]
	if c == nil {
		c = &change{}
		e.postings[string(key)] = c
	}
	if add {
		c.add = append(c.add, n)
	} else {
		c.remove = append(c.remove, n)
	}
}

// flush writes all postings but those of versions.
func (e *edit) flush() error {
	for key, c := range e.postings {
		m := set{}
		if before := e.get([]byte(key)); before != nil {
			if err := orInto(m[:], before); err != nil {
				return err
			}
		}
		for _, n := range c.remove {
			m.remove(n)
		}
		for _, n := range c.add {
			m.add(n)
		}
		if m.empty() {
			e.delete([]byte(key))
		} else {
			e.put([]byte(key), m.encode())
		}
	}
	return nil
}

// flushImages writes the postings of versions, group by group.
func (e *edit) flushImages() error {
	slices.SortFunc(e.images, func(a, b posted) int {
		return cmp.Or(cmp.Compare(chunkOf(a.image), chunkOf(b.image)), cmp.Compare(a.version, b.version), cmp.Compare(a.image, b.image))
	})
	for rest := e.images; len(rest) > 0; {
		chunk, of := chunkOf(rest[0].image), rest[0].version>>groupBits
		key := groupKey(chunk, rest[0].version)
		g, err := decodeGroup(e.r.Get(key))
		if err != nil {
			return err
		}
		for len(rest) > 0 && chunkOf(rest[0].image) == chunk && rest[0].version>>groupBits == of {
			id, n := rest[0].version, 1
			for n < len(rest) && rest[n].version == id && chunkOf(rest[n].image) == chunk {
				n++
			}
			if err := e.change(&g[id%groupSize], chunk, rest[:n]); err != nil {
				return err
			}
			rest = rest[n:]
		}
		if b := g.encode(); b == nil {
			e.delete(key)
		} else {
			e.put(key, b)
		}
	}
	return nil
}

// change makes changes of one version in one chunk. The version learns of a chunk that begins or ceases to have it.
func (e *edit) change(b *[]byte, chunk uint32, list []posted) error {
	m, before := set{}, *b != nil
	if before {
		if err := orInto(m[:], *b); err != nil {
			return err
		}
	}
	for _, p := range list {
		if p.add {
			m.add(p.image)
		} else {
			m.remove(p.image)
		}
	}
	empty := m.empty()
	if *b = nil; !empty {
		*b = m.encode()
	}
	if empty == before {
		return e.spread(list[0].version, chunk, !empty)
	}
	return nil
}

// spread adds a chunk to those of a version, or takes it off.
func (e *edit) spread(id, chunk uint32, add bool) error {
	v, err := e.version(id)
	if err != nil {
		return err
	}
	at, found := slices.BinarySearch(v.chunks, chunk)
	switch {
	case add && !found:
		v.chunks = slices.Insert(v.chunks, at, chunk)
	case !add && found:
		v.chunks = slices.Delete(v.chunks, at, at+1)
	}
	e.changed[id] = true
	return nil
}

// finish turns postings and versions into writes.
func (e *edit) finish() error {
	if e.spent {
		return store.Errorf(store.CodeInternal, "the package index has given all its numbers, four billion; stop the server and run assay check --repair")
	}
	if err := e.flushImages(); err != nil {
		return err
	}
	for id := range e.changed {
		v := e.versions[id]
		if len(v.chunks) > 0 {
			e.put(numberKey('p', id), v.encode())
			continue
		}
		if err := e.forget(id, v); err != nil {
			return err
		}
	}
	fresh := map[uint32]bool{} // names with a version that is new
	if len(e.suspect) > 0 {
		for k, v := range e.writes {
			if name, ok := numberIn([]byte(k), 0); ok && k[0] == 'v' && v != nil {
				fresh[name] = true
			}
		}
	}
	for name := range e.suspect {
		if !fresh[name] && !e.held(numberKey('v', name)) {
			e.delete(textKey('n', string(e.get(numberKey('N', name)))))
			e.delete(numberKey('N', name))
		}
	}
	if err := e.flush(); err != nil {
		return err
	}
	e.counts[countGeneration]++
	w := writer{}
	for _, n := range e.counts {
		w.number(uint64(n))
	}
	e.put([]byte("#"), w.b)
	return nil
}

// forget removes a version that no image has. Its number is not given again.
func (e *edit) forget(id uint32, s *stored) error {
	v, err := e.full(id, s)
	if err != nil {
		return err
	}
	e.delete(numberKey('p', id))
	e.delete(versionKey(s.name, v.Version, v.sum()))
	e.suspect[s.name] = true
	for _, l := range s.members {
		e.post(numberKey('c', l, chunkOf(id)), id, false)
	}
	return nil
}

func (e *edit) full(id uint32, s *stored) (PackageVersion, error) { return complete(e.get, id, s) }

// complete fills in what a stored version has as numbers.
func complete(get func([]byte) []byte, id uint32, s *stored) (PackageVersion, error) {
	v := s.version
	v.ID, v.Name, v.Licenses = ID(id), string(get(numberKey('N', s.name))), nil
	for _, l := range s.licenses {
		text := get(numberKey('L', l))
		if text == nil {
			return v, damaged("licence")
		}
		v.Licenses = append(v.Licenses, string(text))
	}
	if v.Name == "" {
		return v, damaged("name")
	}
	return v, nil
}
