package vulns

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/osv"
)

// What is known of a version and an advisory.
const (
	matchAffected = 0
	matchVersion  = 1 // the version cannot be compared
	matchBounds   = 2 // the record's versions cannot be compared, or it has none
	matchRelease  = 3 // the package does not tell its release, and not all are affected
	matchKinds    = 4
)

// maxFixed is how many fixed versions of a finding are kept.
const maxFixed = 4

// advisoryID names an advisory of a database.
type advisoryID struct {
	db uint16
	id string
}

// match is that an advisory concerns a package version.
type match struct {
	part     byte // by which of the version's names: see soughtFor
	advisory advisoryID
	sum      [sumSize]byte
	severity osv.Severity
	state    byte
	fixed    []string // nearest first
	pro      bool     // by an entry about packages for subscribers; is not kept
}

func compareMatches(a, b match) int {
	return cmp.Or(cmp.Compare(a.part, b.part), cmp.Compare(a.advisory.db, b.advisory.db), strings.Compare(a.advisory.id, b.advisory.id))
}

// encodeMatches makes the record of what was found for a package version; without anything it is nil. The list is in order.
func encodeMatches(list []match) []byte {
	if len(list) == 0 {
		return nil
	}
	w := writer{}
	w.number(uint64(len(list)))
	for _, m := range list {
		w.b = append(w.b, m.part)
		w.number(uint64(m.advisory.db))
		w.text(m.advisory.id)
		w.b = append(append(w.b, m.sum[:]...), byte(m.severity), m.state)
		w.texts(m.fixed)
	}
	return w.record()
}

func decodeMatches(b []byte) ([]match, error) {
	if b == nil {
		return nil, nil
	}
	r := open(b)
	n := r.count()
	list := make([]match, 0, min(n, 4096))
	for range n {
		m := match{part: r.byte()}
		db := r.number()
		m.advisory = advisoryID{uint16(db), r.text()}
		for n := range m.sum {
			m.sum[n] = r.byte()
		}
		if m.severity, m.state, m.fixed = osv.Severity(r.byte()), r.byte(), r.texts(); db > 1<<16-1 || m.severity > osv.Critical || m.state >= matchKinds {
			r.fail()
		}
		list = append(list, m)
	}
	if !r.done() {
		return nil, damaged("record of findings")
	}
	return list, nil
}

// readyItem is an item made ready to be compared with many versions.
type readyItem struct {
	*item
	spans  []readySpan
	listed []index.ReadyVersion // those of the versions that can be compared
	bad    bool                 // a bound cannot be compared
	done   bool
}

type readySpan struct {
	from, to index.ReadyVersion
	first    bool // from the beginning
	end      byte
	text     string // of to
}

func (i *readyItem) prepare(order string) {
	i.done = true
	for _, s := range i.item.spans {
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
	for _, text := range i.item.versions {
		if v, err := index.ParseVersion(order, text); err == nil {
			i.listed = append(i.listed, v)
		}
	}
}

// lists reports whether a version is one of those that are listed, however it is written: 1.0 is PyPI's 1.0.0.
func (i *readyItem) lists(v index.ReadyVersion) bool {
	return slices.ContainsFunc(i.listed, func(w index.ReadyVersion) bool { return same(v, w) })
}

// within is the place of the interval that holds a version, or -1.
func (i *readyItem) within(v index.ReadyVersion) int {
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
func (i *readyItem) fixedFrom(n int) (list []string) {
	for ; n < len(i.spans) && len(list) < maxFixed; n++ {
		if s := &i.spans[n]; s.end == endFixed && !slices.Contains(list, s.text) {
			list = append(list, s.text)
		}
	}
	return list
}

// entry is what one database says about a name in one release.
type entry struct {
	release string
	db      uint16
	items   []readyItem
	weight  int // comparisons with all items, about
}

// prepared is all that is said about a name.
type prepared struct {
	order   string
	strict  bool // a version begins with a digit
	entries []entry
}

// named reads what is said about a name: one look-up.
func (r reading) named(k nameKey) (*prepared, error) {
	p := &prepared{order: k.order(), strict: ecosystems[k.base].semantic}
	prefix := k.prefix('n')
	for _, pair := range r.s.Scan(prefix, upTo(prefix), maxScan) {
		key, db, ok := entryIn(pair.Key)
		if !ok {
			return nil, damaged("entry of a name")
		}
		v, err := visible(pair.Value, r.generation)
		if err != nil {
			return nil, err
		}
		e, bad := entry{release: key.release, db: db}, false
		if err := eachItem(v.bytes, func(b []byte) {
			in := reader{b: b}
			i := decodeItem(&in)
			bad = bad || !in.done()
			e.items = append(e.items, readyItem{item: &i})
			e.weight += 1 + len(i.spans) + len(i.versions)
		}); err != nil || bad {
			return nil, damaged("entry of a name")
		}
		if len(e.items) > 0 {
			p.entries = append(p.entries, e)
		}
	}
	return p, nil
}

// parse makes an installed version ready. What has no digit where there must be one is no version, though some rules would order it.
func (p *prepared) parse(version string) (index.ReadyVersion, bool) {
	text := strings.TrimPrefix(strings.TrimPrefix(version, "v"), "V")
	if p.strict && (text == "" || text[0] < '0' || text[0] > '9' || commit(text)) || !strings.ContainsAny(version, "0123456789") || strings.Contains(version, "${") {
		return index.ReadyVersion{}, false
	}
	v, err := index.ParseVersion(p.order, version)
	return v, err == nil
}

// commit reports whether a version is the sum of a commit, which some would read as a number with a tail.
func commit(s string) bool {
	return len(s) == 40 && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

// concerns reports whether what is said is about a release, if the package tells one.
func (e *entry) concerns(s sought) bool {
	return e.release == s.release || e.release == anyRelease || s.release == unknownRelease || e.release == s.release+proSuffix
}

// weight is how many comparisons a version takes, about.
func (p *prepared) weight(s sought) (n int) {
	for k := range p.entries {
		n += side(p.entries[k].concerns(s)) * p.entries[k].weight
	}
	return n
}

// match finds what concerns a version.
func (p *prepared) match(part byte, s sought) []match {
	if len(p.entries) == 0 {
		return nil
	}
	version, ok := p.parse(s.version)
	var list []match
	for n := range p.entries {
		e := &p.entries[n]
		if !e.concerns(s) {
			continue
		}
		for k := range e.items {
			if m, hit := e.items[k].match(p.order, version, ok, s.version); hit {
				m.part, m.advisory.db, m.pro = part, e.db, strings.HasSuffix(e.release, proSuffix)
				list = append(list, m)
			}
		}
	}
	if s.release == unknownRelease {
		return p.overReleases(list)
	}
	if strings.Contains(s.version, "esm") {
		list = p.subscribed(s.release, list)
	}
	return merged(list)
}

// subscribed is for a package for Ubuntu's subscribers: where a record tells about those, that alone counts. For everybody else both do: what is fixed for
// subscribers alone is unfixed, and known to have a fix.
func (p *prepared) subscribed(release string, list []match) []match {
	told := map[advisoryID]bool{}
	for _, e := range p.entries {
		for _, i := range e.items {
			told[advisoryID{e.db, i.id}] = told[advisoryID{e.db, i.id}] || e.release == release+proSuffix
		}
	}
	return slices.DeleteFunc(list, func(m match) bool { return !m.pro && told[m.advisory] })
}

func (i *readyItem) match(order string, v index.ReadyVersion, comparable bool, text string) (match, bool) {
	if !i.done {
		i.prepare(order)
	}
	m := match{advisory: advisoryID{id: i.id}, sum: i.sum, severity: i.severity}
	if slices.Contains(i.versions, text) || comparable && i.lists(v) {
		m.fixed = i.after(v, comparable)
		return m, true
	}
	if !comparable {
		m.state, m.fixed = matchVersion, i.fixedFrom(0)
		return m, true
	}
	if n := i.within(v); n >= 0 {
		m.fixed = i.fixedFrom(n)
		return m, true
	}
	m.state = matchBounds
	return m, i.bad || i.vague
}

// after lists fixed versions that are above a version outside of all intervals.
func (i *readyItem) after(v index.ReadyVersion, comparable bool) (list []string) {
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
func merged(list []match) []match {
	slices.SortStableFunc(list, func(a, b match) int {
		return cmp.Or(compareMatches(a, b), cmp.Compare(a.state, b.state), cmp.Compare(side(len(a.fixed) == 0), side(len(b.fixed) == 0)))
	})
	return slices.CompactFunc(list, func(a, b match) bool { return compareMatches(a, b) == 0 })
}

// overReleases is for a package that does not tell its release: what concerns it in all releases that the database has the name of is certain, the rest is not.
func (p *prepared) overReleases(list []match) []match {
	releases, hits := map[uint16]int{}, map[advisoryID]int{}
	for _, e := range p.entries {
		releases[e.db]++
	}
	for _, m := range list {
		if m.state == matchAffected {
			hits[m.advisory]++
		}
	}
	for n := range list {
		if m := &list[n]; m.state == matchAffected && hits[m.advisory] < releases[m.advisory.db] {
			m.state = matchRelease
		}
	}
	return merged(list)
}

// advisory reads one; nil means that there is none.
func (r reading) advisory(id advisoryID) (*known, error) {
	b, err := r.get(advisoryKey(id.db, id.id))
	if err != nil || b == nil {
		return nil, err
	}
	return decodeKnown(id.id, b)
}

// linked lists the advisories that go by an identifier, in the order of databases and ids.
func (r reading) linked(name string) ([]advisoryID, []*known, error) {
	var ids []advisoryID
	var list []*known
	prefix := linkPrefix(name)
	for _, p := range r.s.Scan(prefix, upTo(prefix), maxLinked) {
		_, id, ok := linkIn(p.Key)
		if !ok {
			return nil, nil, damaged("identifier")
		}
		a, err := r.advisory(id)
		if err != nil {
			return nil, nil, err
		}
		if a != nil && a.goesBy(name) {
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
	names map[nameKey]*prepared
	lent  map[advisoryID]osv.Severity
	work  int // comparisons until now, about; what was read counts as several
}

func newEvaluator(r reading) *evaluator {
	return &evaluator{reading: r, names: map[nameKey]*prepared{}, lent: map[advisoryID]osv.Severity{}}
}

// maxPrepared is how many names an evaluator remembers.
const maxPrepared = 4096

// find matches one name of a package version.
func (e *evaluator) find(part int, s sought) ([]match, error) {
	p := e.names[s.key]
	if p == nil {
		var err error
		if p, err = e.named(s.key); err != nil {
			return nil, err
		}
		if len(e.names) >= maxPrepared {
			clear(e.names)
		}
		e.names[s.key] = p
		for _, one := range p.entries {
			e.work += 4 * one.weight
		}
	}
	e.work += p.weight(s)
	list := p.match(byte(part), s)
	for n := range list {
		if m := &list[n]; m.severity == osv.Unknown {
			var err error
			if m.severity, err = e.lend(m.advisory); err != nil {
				return nil, err
			}
		}
	}
	return list, nil
}

// findAll matches a package version.
func (e *evaluator) findAll(list []sought) (all []match, err error) {
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
func (e *evaluator) lend(id advisoryID) (osv.Severity, error) {
	if s, ok := e.lent[id]; ok {
		return s, nil
	}
	a, err := e.advisory(id)
	if err != nil {
		return osv.Unknown, err
	}
	worst := osv.Unknown
	if a != nil && len(a.cves) == 1 {
		_, others, err := e.linked(a.cves[0])
		if err != nil {
			return osv.Unknown, err
		}
		for _, o := range others {
			if len(o.cves) == 1 && o.withdrawn.IsZero() {
				worst = max(worst, o.severity)
			}
		}
	}
	e.lent[id] = worst
	return worst, nil
}

// encodeSought is the value of a version under one of its names: what is needed to match it again.
func encodeSought(part int, s sought) []byte {
	w := writer{b: []byte{formPlain, byte(part)}}
	w.text(s.release)
	w.text(s.version)
	return w.b
}

func decodeSought(k nameKey, b []byte) (part int, s sought, err error) {
	r := open(b)
	part = int(r.byte())
	s = sought{k, r.text(), r.text()}
	if !r.done() || part > 1 {
		return 0, s, damaged("record of a package version")
	}
	return part, s, nil
}

// encodeMatched is the record of a version: by what it is looked up, and its class.
func encodeMatched(list []sought, class string) []byte {
	w := writer{}
	w.number(uint64(len(list)))
	for _, s := range list {
		for _, text := range [...]string{s.key.base, s.key.name, s.release, s.version} {
			w.text(text)
		}
	}
	w.text(class)
	return w.record()
}

func decodeMatched(b []byte) (list []sought, class string, err error) {
	r := open(b)
	for range r.count() {
		list = append(list, sought{nameKey{r.text(), r.text()}, r.text(), r.text()})
	}
	if len(r.b) > 0 { // other rules kept none
		class = r.text()
	}
	if !r.done() || len(class) > maxClass {
		return nil, "", damaged("record of a package version")
	}
	return list, class, nil
}

// replaced exchanges the matches of one part.
func replaced(all []match, part byte, list []match) []match {
	out := make([]match, 0, len(all)+len(list))
	for _, m := range all {
		if m.part < part {
			out = append(out, m)
		}
	}
	out = append(out, list...)
	for _, m := range all {
		if m.part > part {
			out = append(out, m)
		}
	}
	return out
}

// packIDs writes package versions, rising.
func packIDs(ids []uint32) []byte {
	w := writer{b: make([]byte, 0, len(ids)+binary.MaxVarintLen64)}
	w.ascending(ids)
	return w.b
}
