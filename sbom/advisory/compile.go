package advisory

import (
	"cmp"
	"crypto/sha256"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/assay-registry/assay/sbom/ecosystem"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/osv"
	"github.com/assay-registry/assay/sbom/pack"
)

// Compiler numbers the form of what [Compile] makes: where it differs from a database's, all its records are compiled again by the next import.
const Compiler = 3

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

// sumSize is how many bytes of a sum tell what changed.
const sumSize = 8

// Item is what one record says about one name in one release.
type Item struct {
	ID       string
	Sum      [sumSize]byte // of what else of the record matters
	severity osv.Severity
	vague    bool // there are bounds that cannot be compared, or none at all: unknown for all versions that are not in the rest
	Spans    []span
	Versions []string // affected ones outside of the spans
	work     int      // while it is compiled, see maxWork
}

// Encode writes the item.
func (i *Item) Encode(w *pack.Writer) {
	w.Text(i.ID)
	w.B = append(append(w.B, i.Sum[:]...), byte(i.severity))
	vague := byte(0)
	if i.vague {
		vague = 1
	}
	w.B = append(w.B, vague)
	w.Number(uint64(len(i.Spans)))
	for _, s := range i.Spans {
		w.Text(s.from)
		w.Text(s.to)
		w.B = append(w.B, s.end)
	}
	w.Texts(i.Versions)
}

// DecodeItem reads an item; the reader says whether it could.
func DecodeItem(r *pack.Reader) (i Item) {
	i.ID = r.Text()
	for n := range i.Sum {
		i.Sum[n] = r.Byte()
	}
	i.severity = osv.Severity(r.Byte())
	vague := r.Byte()
	i.vague = vague == 1
	for range r.Count() {
		s := span{r.Text(), r.Text(), r.Byte()}
		if s.end >= endKinds {
			r.Fail()
		}
		i.Spans = append(i.Spans, s)
	}
	i.Versions = r.Texts()
	if i.severity > osv.Critical || vague > 1 {
		r.Fail()
	}
	return i
}

// PackedItem is an item as it lies in an entry.
type PackedItem struct {
	ID    string
	Bytes []byte
	Of    [16]byte // sum of the record that it was made of; of one that is read from an entry none
}

// EncodeEntry makes the entry of a name: its items, by their ids. Without any it is nil.
func EncodeEntry(items []PackedItem) []byte {
	if len(items) == 0 {
		return nil
	}
	slices.SortFunc(items, func(a, b PackedItem) int { return strings.Compare(a.ID, b.ID) })
	w := pack.Writer{}
	w.Number(uint64(len(items)))
	for _, i := range items {
		w.Bytes(i.Bytes)
	}
	return w.Record()
}

// EachItem reads an entry; nil has no items. The bytes are part of it.
func EachItem(b []byte, fn func(packed []byte)) error {
	if b == nil {
		return nil
	}
	r := pack.Open(b)
	for range r.Count() {
		fn(r.Bytes())
	}
	if !r.Done() {
		return pack.Damaged("entry of a name")
	}
	return nil
}

// Known is an advisory as it is kept.
type Known struct {
	Raw       [16]byte // sum of the record that it was made of
	Aliases   []string // other identifiers of the same vulnerability, without CVEs
	CVEs      []string // the CVEs that it is about
	Severity  osv.Severity
	Score     uint64 // ten times
	Vector    string
	Published time.Time
	Modified  time.Time
	Withdrawn time.Time
	Summary   string
	URL       string
	Keys      []ecosystem.Released
	ID        string // of the key
}

// Encode makes the record of the advisory.
func (a *Known) Encode() []byte {
	w := pack.Writer{B: make([]byte, 0, 256)}
	w.B = append(w.B, a.Raw[:]...)
	w.Texts(a.Aliases)
	w.Texts(a.CVEs)
	w.B = append(w.B, byte(a.Severity))
	w.Number(a.Score)
	w.Text(a.Vector)
	w.Instant(a.Published)
	w.Instant(a.Modified)
	w.Instant(a.Withdrawn)
	w.Text(a.Summary)
	w.Text(a.URL)
	w.Number(uint64(len(a.Keys)))
	for _, k := range a.Keys {
		w.Text(k.Base)
		w.Text(k.Name)
		w.Text(k.Release)
	}
	return w.Record()
}

// DecodeKnown reads a record of an advisory. Errors: CodeInternal where it is damaged.
func DecodeKnown(id string, b []byte) (*Known, error) {
	r, a := pack.Open(b), &Known{ID: id}
	for n := range a.Raw {
		a.Raw[n] = r.Byte()
	}
	a.Aliases, a.CVEs, a.Severity, a.Score, a.Vector = r.Texts(), r.Texts(), osv.Severity(r.Byte()), r.Number(), r.Text()
	a.Published, a.Modified, a.Withdrawn, a.Summary, a.URL = r.Instant(), r.Instant(), r.Instant(), r.Text(), r.Text()
	for range r.Count() {
		a.Keys = append(a.Keys, ecosystem.Released{Key: ecosystem.Key{Base: r.Text(), Name: r.Text()}, Release: r.Text()})
	}
	if !r.Done() || a.Severity > osv.Critical || a.Score > 100 {
		return nil, pack.Damaged("record of an advisory")
	}
	return a, nil
}

// Identifiers are all that the advisory goes by.
func (a *Known) Identifiers() []string {
	return append(append([]string{a.ID}, a.Aliases...), a.CVEs...)
}

// GoesBy reports whether it is known by a name, however that is written.
func (a *Known) GoesBy(name string) bool {
	return slices.ContainsFunc(a.Identifiers(), func(s string) bool { return strings.EqualFold(s, name) })
}

// Vulnerabilities lists the identifiers of each vulnerability that an advisory is about: one, or one for each CVE of a record about several.
func (a *Known) Vulnerabilities() [][]string {
	if len(a.CVEs) <= 1 {
		return [][]string{slices.Compact(slices.Concat(a.CVEs, []string{a.ID}, a.Aliases))}
	}
	list := make([][]string, len(a.CVEs))
	for i, c := range a.CVEs {
		list[i] = []string{c}
	}
	return list
}

// Lends is the severity that others borrow: that of a record about one CVE which stands.
func (a *Known) Lends() osv.Severity {
	if len(a.CVEs) != 1 || !a.Withdrawn.IsZero() {
		return osv.Unknown
	}
	return a.Severity
}

// Sum is of what matters to a finding beside versions. Text and links do not.
func (a *Known) Sum() (sum [sumSize]byte) {
	w := pack.Writer{B: []byte{byte(a.Severity)}}
	w.Number(a.Score)
	w.Text(a.Vector)
	w.Instant(a.Published)
	w.Texts(a.Aliases)
	w.Texts(a.CVEs)
	s := sha256.Sum256(w.B)
	return [sumSize]byte(s[:])
}

var cvePattern = regexp.MustCompile(`^CVE-[0-9]{4}-[0-9]{4,19}$`)

func isCVE(s string) bool { return len(s) > 12 && s[:4] == "CVE-" && cvePattern.MatchString(s) }

// Compile makes of a record what is kept of it, and what it says about each name.
func Compile(a *osv.Advisory, raw []byte) (*Known, map[ecosystem.Released]*Item) {
	k := &Known{ID: a.ID, Severity: a.Severity, Score: uint64(a.Score*10 + 0.5), Vector: a.Vector, Published: a.Published, Modified: a.Modified, Withdrawn: a.Withdrawn,
		Summary: a.Summary, URL: a.URL}
	sum := sha256.Sum256(raw)
	k.Raw = [16]byte(sum[:])
	items := map[ecosystem.Released]*Item{}
	if a.Withdrawn.IsZero() {
		for i := range a.Affected {
			p := &a.Affected[i]
			name, release, ok := ecosystem.Placed(p)
			if !ok {
				continue
			}
			key := ecosystem.Released{Key: name, Release: release}
			if items[key] == nil {
				items[key] = &Item{ID: a.ID}
				k.Keys = append(k.Keys, key)
			}
			items[key].add(p, name.Order())
		}
	}
	k.names(a)
	sum8 := k.Sum()
	for _, i := range items {
		i.Sum = sum8
		if i.severity == osv.Unknown {
			i.severity = a.Severity
		}
		slices.Sort(i.Versions)
		i.Versions = slices.Compact(i.Versions)
	}
	slices.SortFunc(k.Keys, CompareKeys)
	return k, items
}

// CompareKeys orders names in their releases.
func CompareKeys(a, b ecosystem.Released) int {
	return cmp.Or(strings.Compare(a.Base, b.Base), strings.Compare(a.Name, b.Name), strings.Compare(a.Release, b.Release))
}

// names tells which vulnerabilities the record is about. Aliases are the same one; records of distributions pass on one or more of others (upstream; related where makers use no other field).
func (k *Known) names(a *osv.Advisory) {
	seen := map[string]bool{a.ID: true}
	take := func(list []string, others bool) {
		for _, id := range list {
			switch {
			case seen[id]:
			case isCVE(id):
				k.CVEs = append(k.CVEs, id)
			case others:
				k.Aliases = append(k.Aliases, id)
			default:
				continue
			}
			seen[id] = true
		}
	}
	if isCVE(a.ID) {
		k.CVEs = []string{a.ID}
	}
	take(a.Aliases, true)
	take(a.Upstream, len(a.Upstream) <= 2)
	if len(k.CVEs) == 0 && len(k.Keys) > 0 && !slices.ContainsFunc(k.Keys, func(e ecosystem.Released) bool { return !e.Releases() }) {
		take(a.Related, false)
	}
	if i := strings.Index(a.ID, "-CVE-"); len(k.CVEs) == 0 && i > 0 && isCVE(a.ID[i+1:]) { // "ALPINE-CVE-2024-0001"
		k.CVEs = []string{a.ID[i+1:]}
	}
	slices.Sort(k.Aliases)
	slices.Sort(k.CVEs)
}

// maxWork is how often versions that are listed are compared with intervals of one item, to leave out what is said twice. Where that is not enough they are kept as they are.
const maxWork = 1 << 22

// add takes in what one member of affected[] says.
func (i *Item) add(p *osv.AffectedPackage, order string) {
	i.severity = max(i.severity, p.Severity)
	if len(p.Ranges) == 0 && len(p.Versions) == 0 {
		i.vague = true // no word about versions: nothing that could be told from the rest
	}
	for _, r := range p.Ranges {
		spans, ok := spansOf(r.Events, order)
		i.Spans = append(i.Spans, spans...)
		i.vague = i.vague || !ok
	}
	if i.work += len(i.Spans) * (1 + len(p.Versions)); len(p.Versions) == 0 || i.work > maxWork {
		i.Versions = append(i.Versions, p.Versions...)
		return
	}
	ready := ReadyItem{Item: i}
	ready.prepare(order)
	for _, v := range p.Versions {
		if parsed, err := index.ParseVersion(order, v); err == nil && ready.within(parsed) >= 0 {
			continue
		}
		i.Versions = append(i.Versions, v)
	}
}

// point is an event on the line of versions.
type point struct {
	osv.Event
	at    index.ReadyVersion
	first bool // before all versions
}

// spansOf turns events into intervals (OSV schema, "Evaluation"): in the order of their versions, each introduction opens and each other event closes, and what is behind the last limit is left out.
// ok is false where they cannot be ordered.
func spansOf(events []osv.Event, order string) (spans []span, ok bool) {
	points, limits, introduced, endless := make([]point, 0, len(events)), []point(nil), false, false
	for _, e := range events {
		p := point{Event: e, first: e.Kind == "introduced" && e.Version == "0"}
		introduced = introduced || e.Kind == "introduced"
		if e.Version == "*" && e.Kind == "limit" { // no limit at all
			endless = true
			continue
		}
		if !p.first {
			var err error
			if p.at, err = index.ParseVersion(order, e.Version); err != nil {
				return nil, false
			}
		}
		if e.Kind == "limit" {
			limits = append(limits, p)
		} else {
			points = append(points, p)
		}
	}
	if len(points)+len(limits) == 0 {
		return nil, false
	}
	if !introduced { // against the schema: then from the beginning
		points = append(points, point{Event: osv.Event{Kind: "introduced", Version: "0"}, first: true})
	}
	if !sorted(points) || !sorted(limits) {
		return nil, false
	}
	open := opened(points)
	if len(limits) > 0 && !endless {
		open = before(limits[len(limits)-1], open)
	}
	for _, o := range open {
		spans = append(spans, o.span())
	}
	return spans, true
}

func sorted(points []point) (ok bool) {
	ok = true
	slices.SortStableFunc(points, func(a, b point) int {
		if a.first || b.first {
			return cmp.Compare(side(!a.first), side(!b.first))
		}
		n, err := a.at.Compare(b.at)
		ok = ok && err == nil
		return n // an end at the version where the next interval begins comes before it, and so does a beginning before its own end
	})
	return ok
}

// interval is a span with its versions; to is nil where it has no end.
type interval struct {
	from point
	to   *point
}

func (i interval) span() (s span) {
	if !i.from.first {
		s.from = i.from.Version
	}
	if i.to != nil {
		s.to, s.end = i.to.Version, ends[i.to.Kind]
	}
	return s
}

// opened makes intervals of points in order.
func opened(points []point) (list []interval) {
	var now *interval
	for n := 0; n < len(points); n++ {
		p := points[n]
		switch {
		case p.Kind == "introduced" && now == nil:
			now = &interval{from: p}
		case p.Kind != "introduced" && now != nil:
			now.to = &p
			list = append(list, *now)
			now = nil
		case p.Kind == "introduced" && n+1 < len(points) && points[n+1].Kind != "introduced" && !points[n+1].first && !p.first && same(p.at, points[n+1].at):
			points[n], points[n+1] = points[n+1], points[n] // it ends here and begins again
			n--
		}
	}
	if now != nil {
		list = append(list, *now)
	}
	return list
}

// before cuts intervals off at a limit.
func before(limit point, list []interval) (cut []interval) {
	for _, i := range list {
		if !i.from.first {
			if n, err := i.from.at.Compare(limit.at); err == nil && n >= 0 {
				continue
			}
		}
		if i.to == nil {
			i.to = &limit
		} else if n, err := i.to.at.Compare(limit.at); err == nil && (n > 0 || n == 0 && i.to.Kind == "last_affected") {
			i.to = &limit
		}
		cut = append(cut, i)
	}
	return cut
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
