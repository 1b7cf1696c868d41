package vulns

import (
	"cmp"
	"crypto/sha256"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/osv"
)

// compiler numbers the form of what compile makes: where it differs from a database's, all its records are compiled again by the next import.
const compiler = 1

// span is an interval of versions.
type span struct {
	from string // "": from the beginning
	to   string
	end  byte // what to is
}

const (
	endNone  = 0
	endFixed = 1 // the first version that is not affected any more, because it is fixed
	endLast  = 2 // the last affected one
	endLimit = 3 // the first one that nothing is said about
	endKinds = 4
)

// item is what one record says about one name in one release.
type item struct {
	id       string
	sum      [sumSize]byte // of what else of the record matters
	severity osv.Severity
	vague    bool // there are bounds that cannot be compared, or none at all: unknown for all versions that are not in the rest
	spans    []span
	versions []string // affected ones outside of the spans
	work     int      // while it is compiled, see maxWork
}

func (i *item) encode(w *writer) {
	w.text(i.id)
	w.b = append(append(w.b, i.sum[:]...), byte(i.severity))
	vague := byte(0)
	if i.vague {
		vague = 1
	}
	w.b = append(w.b, vague)
	w.number(uint64(len(i.spans)))
	for _, s := range i.spans {
		w.text(s.from)
		w.text(s.to)
		w.b = append(w.b, s.end)
	}
	w.texts(i.versions)
}

func decodeItem(r *reader) (i item) {
	i.id = r.text()
	for n := range i.sum {
		i.sum[n] = r.byte()
	}
	i.severity = osv.Severity(r.byte())
	vague := r.byte()
	i.vague = vague == 1
	for range r.count() {
		s := span{r.text(), r.text(), r.byte()}
		if s.end >= endKinds {
			r.fail()
		}
		i.spans = append(i.spans, s)
	}
	i.versions = r.texts()
	if i.severity > osv.Critical || vague > 1 {
		r.fail()
	}
	return i
}

// packedItem is an item as it lies in an entry.
type packedItem struct {
	id    string
	bytes []byte
	of    [16]byte // sum of the record that it was made of; of one that is read from an entry none
}

// encodeEntry makes the entry of a name: its items, by their ids. Without any it is nil.
func encodeEntry(items []packedItem) []byte {
	if len(items) == 0 {
		return nil
	}
	slices.SortFunc(items, func(a, b packedItem) int { return strings.Compare(a.id, b.id) })
	w := writer{}
	w.number(uint64(len(items)))
	for _, i := range items {
		w.bytes(i.bytes)
	}
	return w.record()
}

// eachItem reads an entry; nil has no items. The bytes are part of it.
func eachItem(b []byte, fn func(packed []byte)) error {
	if b == nil {
		return nil
	}
	r := open(b)
	for range r.count() {
		fn(r.bytes())
	}
	if !r.done() {
		return damaged("entry of a name")
	}
	return nil
}

// known is an advisory as it is kept.
type known struct {
	raw       [16]byte // sum of the record that it was made of
	aliases   []string // other identifiers of the same vulnerability, without CVEs
	cves      []string // the CVEs that it is about
	severity  osv.Severity
	score     uint64 // ten times
	vector    string
	published time.Time
	modified  time.Time
	withdrawn time.Time
	summary   string
	url       string
	keys      []entryKey
	id        string // of the key
}

func (a *known) encode() []byte {
	w := writer{b: make([]byte, 0, 256)}
	w.b = append(w.b, a.raw[:]...)
	w.texts(a.aliases)
	w.texts(a.cves)
	w.b = append(w.b, byte(a.severity))
	w.number(a.score)
	w.text(a.vector)
	w.instant(a.published)
	w.instant(a.modified)
	w.instant(a.withdrawn)
	w.text(a.summary)
	w.text(a.url)
	w.number(uint64(len(a.keys)))
	for _, k := range a.keys {
		w.text(k.base)
		w.text(k.name)
		w.text(k.release)
	}
	return w.record()
}

func decodeKnown(id string, b []byte) (*known, error) {
	r, a := open(b), &known{id: id}
	for n := range a.raw {
		a.raw[n] = r.byte()
	}
	a.aliases, a.cves, a.severity, a.score, a.vector = r.texts(), r.texts(), osv.Severity(r.byte()), r.number(), r.text()
	a.published, a.modified, a.withdrawn, a.summary, a.url = r.instant(), r.instant(), r.instant(), r.text(), r.text()
	for range r.count() {
		a.keys = append(a.keys, entryKey{nameKey{r.text(), r.text()}, r.text()})
	}
	if !r.done() || a.severity > osv.Critical || a.score > 100 {
		return nil, damaged("record of an advisory")
	}
	return a, nil
}

// identifiers are all that the advisory goes by.
func (a *known) identifiers() []string {
	return append(append([]string{a.id}, a.aliases...), a.cves...)
}

func (a *known) goesBy(name string) bool {
	return slices.ContainsFunc(a.identifiers(), func(s string) bool { return strings.EqualFold(s, name) })
}

// sum is of what matters to a finding beside versions. Text and links do not.
func (a *known) sum() (sum [sumSize]byte) {
	w := writer{b: []byte{byte(a.severity)}}
	w.number(a.score)
	w.text(a.vector)
	w.instant(a.published)
	w.texts(a.aliases)
	w.texts(a.cves)
	s := sha256.Sum256(w.b)
	return [sumSize]byte(s[:])
}

var cvePattern = regexp.MustCompile(`^CVE-[0-9]{4}-[0-9]{4,19}$`)

func isCVE(s string) bool { return len(s) > 12 && s[:4] == "CVE-" && cvePattern.MatchString(s) }

// compile makes of a record what is kept of it, and what it says about each name.
func compile(a *osv.Advisory, raw []byte) (*known, map[entryKey]*item) {
	k := &known{id: a.ID, severity: a.Severity, score: uint64(a.Score*10 + 0.5), vector: a.Vector, published: a.Published, modified: a.Modified, withdrawn: a.Withdrawn,
		summary: a.Summary, url: a.URL}
	sum := sha256.Sum256(raw)
	k.raw = [16]byte(sum[:])
	items := map[entryKey]*item{}
	if a.Withdrawn.IsZero() {
		for i := range a.Affected {
			p := &a.Affected[i]
			name, release, ok := placed(p)
			if !ok {
				continue
			}
			key := entryKey{name, release}
			if items[key] == nil {
				items[key] = &item{id: a.ID}
				k.keys = append(k.keys, key)
			}
			items[key].add(p, name.order())
		}
	}
	k.names(a)
	sum8 := k.sum()
	for _, i := range items {
		i.sum = sum8
		if i.severity == osv.Unknown {
			i.severity = a.Severity
		}
		slices.Sort(i.versions)
		i.versions = slices.Compact(i.versions)
	}
	slices.SortFunc(k.keys, compareKeys)
	return k, items
}

func compareKeys(a, b entryKey) int {
	return cmp.Or(strings.Compare(a.base, b.base), strings.Compare(a.name, b.name), strings.Compare(a.release, b.release))
}

// names tells which vulnerabilities the record is about. Aliases are the same one; records of distributions pass on one or more of others (upstream; related where makers use no other field).
func (k *known) names(a *osv.Advisory) {
	seen := map[string]bool{a.ID: true}
	take := func(list []string, others bool) {
		for _, id := range list {
			switch {
			case seen[id]:
			case isCVE(id):
				k.cves = append(k.cves, id)
			case others:
				k.aliases = append(k.aliases, id)
			default:
				continue
			}
			seen[id] = true
		}
	}
	if isCVE(a.ID) {
		k.cves = []string{a.ID}
	}
	take(a.Aliases, true)
	take(a.Upstream, len(a.Upstream) <= 2)
	if len(k.cves) == 0 && len(k.keys) > 0 && !slices.ContainsFunc(k.keys, func(e entryKey) bool { return ecosystems[e.base].release == nil }) {
		take(a.Related, false)
	}
	if i := strings.Index(a.ID, "-CVE-"); len(k.cves) == 0 && i > 0 && isCVE(a.ID[i+1:]) { // "ALPINE-CVE-2024-0001"
		k.cves = []string{a.ID[i+1:]}
	}
	slices.Sort(k.aliases)
	slices.Sort(k.cves)
}

// maxWork is how often versions that are listed are compared with intervals of one item, to leave out what is said twice. Where that is not enough they are kept as they are.
const maxWork = 1 << 22

// add takes in what one member of affected[] says.
func (i *item) add(p *osv.AffectedPackage, order string) {
	i.severity = max(i.severity, p.Severity)
	if len(p.Ranges) == 0 && len(p.Versions) == 0 {
		i.vague = true // no word about versions: nothing that could be told from the rest
	}
	for _, r := range p.Ranges {
		spans, ok := spansOf(r.Events, order)
		i.spans = append(i.spans, spans...)
		i.vague = i.vague || !ok
	}
	if i.work += len(i.spans) * (1 + len(p.Versions)); len(p.Versions) == 0 || i.work > maxWork {
		i.versions = append(i.versions, p.Versions...)
		return
	}
	ready := readyItem{item: i}
	ready.prepare(order)
	for _, v := range p.Versions {
		if parsed, err := index.ParseVersion(order, v); err == nil && ready.within(parsed) >= 0 {
			continue
		}
		i.versions = append(i.versions, v)
	}
}

// spansOf turns events into intervals (OSV schema, "Evaluation"): in the order of their versions, each introduction opens and each other event closes. ok is false where they cannot be ordered.
func spansOf(events []osv.Event, order string) (spans []span, ok bool) {
	type point struct {
		osv.Event
		at    index.ReadyVersion
		first bool
	}
	points, introduced := make([]point, 0, len(events)), false
	for _, e := range events {
		p := point{Event: e, first: e.Kind == "introduced" && e.Version == "0"}
		introduced = introduced || e.Kind == "introduced"
		if e.Version == "*" && e.Kind == "limit" { // no limit at all
			continue
		}
		if !p.first {
			var err error
			if p.at, err = index.ParseVersion(order, e.Version); err != nil {
				return nil, false
			}
		}
		points = append(points, p)
	}
	if len(points) == 0 {
		return nil, false
	}
	if !introduced { // against the schema: then from the beginning
		points = append(points, point{Event: osv.Event{Kind: "introduced", Version: "0"}, first: true})
	}
	var failed error
	slices.SortStableFunc(points, func(a, b point) int {
		if a.first || b.first {
			return cmp.Compare(side(!a.first), side(!b.first))
		}
		n, err := a.at.Compare(b.at)
		if err != nil {
			failed = err
		}
		if n == 0 { // an end at the version where the next interval begins comes before it, and so does a beginning before its own end
			return 0
		}
		return n
	})
	if failed != nil {
		return nil, false
	}
	var now *span
	for n := 0; n < len(points); n++ {
		p := points[n]
		switch {
		case p.Kind == "introduced" && now == nil:
			now = &span{from: p.Version}
			if p.first {
				now.from = ""
			}
		case p.Kind != "introduced" && now != nil:
			now.to, now.end = p.Version, ends[p.Kind]
			spans = append(spans, *now)
			now = nil
		case p.Kind == "introduced" && n+1 < len(points) && points[n+1].Kind != "introduced" && !points[n+1].first && !p.first && same(p.at, points[n+1].at):
			points[n], points[n+1] = points[n+1], points[n] // it ends here and begins again
			n--
		}
	}
	if now != nil {
		spans = append(spans, *now)
	}
	return spans, true
}

var ends = map[string]byte{"fixed": endFixed, "last_affected": endLast, "limit": endLimit}

func side(b bool) int {
	if b {
		return 1
	}
	return 0
}

func same(a, b index.ReadyVersion) bool {
	n, err := a.Compare(b)
	return err == nil && n == 0
}
