package index

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

// Query asks which images hold packages. At least one of Pattern and License is set; all that is set must hold for the same package.
type Query struct {
	// Pattern selects names: a package URL without version ("pkg:npm/left-pad"), one with '*' for any characters ("pkg:maven/org.apache.*", "*log4j*"), or
	// a bare last part ("log4j-core"). "@1.2.3" or "@<2.17.1" behind it is a Range.
	Pattern string
	Range   string // see ParseRange
	License string // an SPDX identifier or a licence's name, whatever its case, with '*' for any characters
	// Repositories restricts the answer; empty means all.
	Repositories store.Globs
	After        string // Page.Next of the page before
	Limit        int    // images; 0 means 100, at most 1000
}

// Match is an image with those of its packages that were asked for.
type Match struct {
	Image    store.Item
	Origin   Origin
	Packages []PackageVersion // rising by ID, at most 100
}

// Page is a part of an answer, in the order in which images were first indexed.
type Page struct {
	Matches    []Match
	Next       string   // "" at the end. A page may be empty and not the last: work is bounded, and not every image may be seen
	Pending    int      // images that the caller may see, are queued, and not in the answer yet; of the first 1000 in the queue
	Uncompared []string // versions that the range could not be compared with, of images that the caller may see: they are not in the answer. At most 20
}

// Limits of a query.
const (
	defaultLimit  = 100
	maxLimit      = 1000
	maxExamined   = 20_000 // images of a page
	maxNames      = 500_000
	maxVersions   = 200_000 // that a pattern may select
	maxMatched    = 100     // packages of a match
	maxLicenses   = 1000    // that a pattern may select
	maxUncompared = 20
	maxOdd        = 200  // versions that cannot be compared of which it is found out who may know of them
	maxHolders    = 200  // images that are looked at for that
	maxFew        = 4096 // versions that are looked for one by one
	maxPattern    = 1024
)

// Find answers a query. may says which images the caller may see; it is asked for those alone that match otherwise. Errors: CodeInvalid.
func Find(r store.Records, q Query, may func(store.Item) bool) (Page, error) {
	f := &finder{r: r, s: r.Space(space), q: q, may: may}
	after, err := f.start()
	if err != nil {
		return Page{}, err
	}
	images, err := f.images()
	if err != nil {
		return Page{}, err
	}
	if err := f.collect(images, after); err != nil {
		return Page{}, err
	}
	return f.page, f.aside()
}

// aside adds what stands beside the matches, as far as the caller may know of it.
func (f *finder) aside() error {
	waiting, err := Queued(f.r, store.Item{}, maxLimit)
	if err != nil {
		return err
	}
	for _, i := range waiting {
		if f.may == nil || f.may(i) {
			f.page.Pending++
		}
	}
	for _, v := range f.odd {
		if len(f.page.Uncompared) == maxUncompared {
			break
		}
		if slices.Contains(f.page.Uncompared, v.text) {
			continue
		}
		shown, err := f.shown(v.id)
		if err != nil {
			return err
		}
		if shown {
			f.page.Uncompared = append(f.page.Uncompared, v.text)
		}
	}
	return nil
}

// shown reports whether the caller may see an image that holds a version; where very many hold it, of the first of them.
func (f *finder) shown(id uint32) (bool, error) {
	if f.may == nil {
		return true, nil
	}
	images, err := holding(f.s, []uint32{id})
	if err != nil {
		return false, err
	}
	for it, n := images.Iterator(), 0; it.HasNext() && n < maxHolders; n++ {
		image, held, err := imageOf(f.s, it.Next())
		if err != nil || held && f.may(image) {
			return err == nil, err
		}
	}
	return false, nil
}

// Count says how many images match, whoever may see them.
func Count(r store.Records, q Query) (uint64, error) {
	f := &finder{r: r, s: r.Space(space), q: q}
	if _, err := f.start(); err != nil {
		return 0, err
	}
	images, err := f.images()
	if err != nil {
		return 0, err
	}
	return images.GetCardinality(), nil
}

type finder struct {
	r    store.Records
	s    store.SpaceReader
	q    Query
	may  func(store.Item) bool
	page Page

	names    nameGlob
	ranged   Range
	versions *roaring.Bitmap // those that were asked for
	few      []uint32        // the same, if they are few
	known    map[uint32]PackageVersion
	odd      []odd
}

// odd is a version that the range could not be compared with.
type odd struct {
	id   uint32
	text string
}

func (f *finder) start() (after uint32, err error) {
	q := &f.q
	if f.known = map[uint32]PackageVersion{}; q.Limit == 0 {
		q.Limit = defaultLimit
	}
	switch {
	case q.Pattern == "" && q.License == "":
		return 0, store.Errorf(store.CodeInvalid, "say which package or which licence: pkg:npm/left-pad, or *log4j*, or a licence such as GPL-3.0-only")
	case q.Limit < 0 || q.Limit > maxLimit:
		return 0, store.Errorf(store.CodeInvalid, "a page has 1 to %d images", maxLimit)
	case len(q.License) > maxPattern:
		return 0, store.Errorf(store.CodeInvalid, "a licence has at most %d characters", maxPattern)
	}
	if q.After != "" {
		n, err := strconv.ParseUint(q.After, 10, 32)
		if err != nil {
			return 0, store.Errorf(store.CodeInvalid, "the place to go on from is not one of this query")
		}
		after = uint32(n)
	}
	if q.Pattern != "" {
		pattern, versions := splitPattern(q.Pattern)
		if versions != "" && q.Range != "" {
			return 0, store.Errorf(store.CodeInvalid, "the version range is given twice: behind the '@' and apart")
		}
		if q.Range == "" {
			q.Range = versions
		}
		if f.names, err = parseName(pattern); err != nil {
			return 0, err
		}
	}
	if q.Range != "" {
		f.ranged, err = ParseRange(q.Range)
	}
	return after, err
}

// images finds all images that match, and the versions for which they do.
func (f *finder) images() (*roaring.Bitmap, error) {
	var images *roaring.Bitmap
	var err error
	if f.q.License != "" {
		if images, err = f.licensed(); err != nil {
			return nil, err
		}
	}
	if f.q.Pattern != "" || f.q.Range != "" {
		licensed := f.versions
		if f.versions, err = f.selected(licensed); err != nil {
			return nil, err
		}
		if images, err = holding(f.s, f.versions.ToArray()); err != nil {
			return nil, err
		}
	}
	if len(f.q.Repositories) == 0 {
		return images, nil
	}
	within, err := f.within()
	if err != nil {
		return nil, err
	}
	images.And(within)
	return images, nil
}

// licensed finds the images with a licence, and the versions that declare it.
func (f *finder) licensed() (*roaring.Bitmap, error) {
	wanted := nameGlob{pattern: strings.ToLower(f.q.License)}
	wanted.prefix, _, wanted.wild = strings.Cut(wanted.pattern, "*")
	prefix := textKey('l', wanted.prefix)
	var images, versions union
	counts, err := readCounters(f.s.Get([]byte("#")))
	if err != nil {
		return nil, err
	}
	selected := 0
	for _, p := range f.s.Scan(prefix, upTo(prefix), maxScan) {
		if !wanted.match(string(p.Key[1:])) || len(p.Value) != 4 {
			continue
		}
		if selected++; selected > maxLicenses {
			return nil, store.Errorf(store.CodeInvalid, "the query selects more than %d licences; name the licence more exactly", maxLicenses)
		}
		number := binary.BigEndian.Uint32(p.Value)
		own := numberKey('c', number)
		for _, c := range f.s.Scan(own, upTo(own), maxScan) {
			chunk, ok := numberIn(c.Key, 1)
			if !ok {
				return nil, damaged("posting")
			}
			if err := versions.or(chunk, c.Value); err != nil {
				return nil, err
			}
		}
		for chunk := range chunkOf(counts[countImages]) + 1 {
			if b := f.s.Get(numberKey('j', chunk, number)); b != nil {
				if err := images.or(chunk, b); err != nil {
					return nil, err
				}
			}
		}
	}
	f.versions = versions.bitmap()
	return images.bitmap(), nil
}

// selected finds the versions by name and range, within those given if there are any.
func (f *finder) selected(within *roaring.Bitmap) (*roaring.Bitmap, error) {
	out := roaring.New()
	if f.q.Pattern == "" {
		if within.GetCardinality() > maxVersions {
			return nil, errTooWide()
		}
		for _, id := range within.ToArray() {
			v, err := f.version(id)
			if err != nil {
				return nil, err
			}
			if f.inRange(f.ranged.For(v.Type, v.Ecosystem()), id, v.Version) {
				out.Add(id)
			}
		}
		return out, nil
	}
	names := []string{f.names.pattern}
	if f.names.wild {
		var next string
		var err error
		if names, next, err = Names(f.r, f.q.patternOnly(), "", maxVersions); err != nil {
			return nil, err
		} else if next != "" {
			return nil, errTooWide()
		}
	}
	for _, name := range names {
		if err := f.versionsOf(name, within, out); err != nil {
			return nil, err
		}
		if out.GetCardinality() > maxVersions {
			return nil, errTooWide()
		}
	}
	return out, nil
}

func errTooWide() error {
	return store.Errorf(store.CodeInvalid, "the query selects more than %d package versions; name the package more exactly", maxVersions)
}

func (f *finder) versionsOf(name string, within, out *roaring.Bitmap) error {
	kind, ecosystem := "unknown", ""
	if u, err := sbom.ParsePURL(name); err == nil && u.Type != "unknown" {
		kind, ecosystem = u.Type, Ecosystem(u.Type, u.Namespace, sbom.Distro{}) // Debian and Ubuntu order alike
	}
	ranged := f.ranged.For(kind, ecosystem)
	return eachVersion(f.s, name, func(id uint32, text string) error {
		if within != nil && !within.Contains(id) {
			return nil
		}
		if f.inRange(ranged, id, text) {
			out.Add(id)
		}
		return nil
	})
}

func (f *finder) inRange(m Matcher, id uint32, text string) bool {
	in, err := m.Contains(text)
	if err != nil && len(f.odd) < maxOdd {
		f.odd = append(f.odd, odd{id, text})
	}
	return in && err == nil
}

// within finds the images of the repositories.
func (f *finder) within() (*roaring.Bitmap, error) {
	var u union
	for from := []byte("k"); ; {
		page := f.s.Scan(from, []byte("l"), 1)
		if len(page) == 0 {
			return u.bitmap(), nil
		}
		repo, _, ok := strings.Cut(string(page[0].Key[1:]), "\x00")
		if !ok {
			return nil, damaged("repository")
		}
		prefix := append(textKey('k', repo), 0)
		if f.q.Repositories.Match(store.Name(repo)) {
			for _, p := range f.s.Scan(prefix, upTo(prefix), maxScan) {
				if len(p.Key) < len(prefix)+4 {
					return nil, damaged("repository")
				}
				if err := u.or(binary.BigEndian.Uint32(p.Key[len(prefix):]), p.Value); err != nil {
					return nil, err
				}
			}
		}
		from = upTo(prefix)
	}
}

// collect fills the page.
func (f *finder) collect(images *roaring.Bitmap, after uint32) error {
	if f.versions.GetCardinality() <= maxFew {
		f.few = f.versions.ToArray()
	}
	it := images.Iterator()
	it.AdvanceIfNeeded(after + 1)
	for examined := 0; it.HasNext(); examined++ {
		if len(f.page.Matches) == f.q.Limit || examined == maxExamined {
			f.page.Next = strconv.FormatUint(uint64(after), 10)
			return nil
		}
		after = it.Next()
		image, held, err := imageOf(f.s, after)
		if err != nil {
			return err
		}
		if !held || f.may != nil && !f.may(image) {
			continue
		}
		m, err := f.match(image)
		if err != nil {
			return err
		}
		f.page.Matches = append(f.page.Matches, m)
	}
	return nil
}

func (f *finder) match(image store.Item) (Match, error) {
	m := Match{Image: image}
	b := f.s.Get(imageKey('f', image))
	if b == nil {
		return m, damaged("image")
	}
	forward, err := decodeForward(b)
	if err != nil {
		return m, err
	}
	m.Origin = forward.origin
	set := startRising(reader{b: f.s.Get(textKey('s', forward.set))})
	wanted := f.few
	for id, more := set.next(); more && len(m.Packages) < maxMatched; id, more = set.next() {
		if !f.chosen(id, &wanted) {
			continue
		}
		v, err := f.version(id)
		if err != nil {
			return m, err
		}
		m.Packages = append(m.Packages, v)
	}
	if set.bad {
		return m, damaged("set of packages")
	}
	return m, nil
}

// chosen reports whether a version was asked for. It is called with rising numbers; few are those of f.few that are left.
func (f *finder) chosen(id uint32, few *[]uint32) bool {
	if f.few == nil {
		return f.versions.Contains(id)
	}
	for len(*few) > 0 && (*few)[0] < id {
		*few = (*few)[1:]
	}
	return len(*few) > 0 && (*few)[0] == id
}

func (f *finder) version(id uint32) (PackageVersion, error) {
	if v, ok := f.known[id]; ok {
		return v, nil
	}
	v, err := version(f.s, id)
	if err == nil {
		f.known[id] = v
	}
	return v, err
}

// patternOnly is the pattern without what stands behind its '@'.
func (q *Query) patternOnly() string {
	pattern, _ := splitPattern(q.Pattern)
	return pattern
}

// splitPattern cuts a range or a version off a pattern: "name@<2", "name@1.2". An '@' that begins a part of the name (an npm scope) does not count.
func splitPattern(s string) (pattern, versions string) {
	at := strings.LastIndexByte(s, '@')
	if at <= 0 || s[at-1] == '/' || strings.ContainsAny(s[at:], "/") && !strings.HasPrefix(s[at:], "@vers:") {
		return s, ""
	}
	return s[:at], s[at+1:]
}

// nameGlob matches names.
type nameGlob struct {
	pattern string
	prefix  string // what all names begin with
	wild    bool
}

// parseName reads a pattern of names.
func parseName(s string) (nameGlob, error) {
	if s == "" || len(s) > maxPattern || strings.ContainsAny(s, "?#\x00") {
		return nameGlob{}, store.Errorf(store.CodeInvalid, "a package is asked for by its URL without qualifiers, with '*' for any characters: pkg:npm/left-pad, *log4j*")
	}
	if !strings.HasPrefix(s, "pkg:") && !strings.Contains(s, "*") {
		s = "*/" + s // the last part of a name
	}
	if !strings.Contains(s, "*") {
		u, err := sbom.ParsePURL(s)
		if err != nil {
			return nameGlob{}, store.Errorf(store.CodeInvalid, "%.80q is not a package URL: pkg:type/namespace/name", s)
		}
		return nameGlob{pattern: short(u.Base(), maxName)}, nil
	}
	g := nameGlob{pattern: s, wild: true}
	g.prefix, _, _ = strings.Cut(s, "*")
	return g, nil
}

// match compares without regard to '/', in time that is at most the product of both lengths.
func (g nameGlob) match(s string) bool {
	p := g.pattern
	if !g.wild {
		return p == s
	}
	i, n, star, mark := 0, 0, -1, 0
	for n < len(s) {
		switch {
		case i < len(p) && p[i] == '*':
			star, mark = i, n
			i++
		case i < len(p) && p[i] == s[n]:
			i++
			n++
		case star >= 0:
			mark++
			i, n = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(p[i:], "*") == ""
}
