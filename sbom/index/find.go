package index

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

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

	maxFinding = 30 * time.Second // for a page
)

// What one view reads: about 20 ms. A view that is held keeps the store from using again what is freed meanwhile, so that its file grows.
const (
	partImages       = 256
	partNames        = 16_384 // walked
	partVersions     = 4096
	partLicenses     = 64
	partRepositories = 256
)

// Find answers a query, reading in parts, each in a view of its own. may says which images the caller may see, as a view has them; it is asked for those alone that match
// otherwise. An image that changes meanwhile is found as it is when its turn comes. Errors: CodeInvalid; CodeUnavailable if the index was made anew meanwhile.
func Find(ctx context.Context, local *store.Local, q Query, may func(store.Snapshot, store.Item) bool) (Page, error) {
	end, numbering := local.Now().Add(maxFinding), ""
	f := &finder{q: q, late: func() bool { return local.Now().After(end) }}
	f.part = func(read func() error) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return local.View(ctx, func(s store.Snapshot) error {
			f.r, f.s = s.Records, s.Space(space)
			if may != nil {
				f.may = func(i store.Item) bool { return may(s, i) }
			}
			if now := Numbering(f.r); numbering == "" {
				numbering = now
			} else if now != numbering {
				return store.Errorf(store.CodeUnavailable, "the package index was made anew meanwhile; ask again from the first page")
			}
			return read()
		})
	}
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
	if err := f.part(f.waiting); err != nil {
		return err
	}
	for _, v := range f.odd {
		if len(f.page.Uncompared) == maxUncompared || f.late() {
			break
		}
		if slices.Contains(f.page.Uncompared, v.text) {
			continue
		}
		shown := false
		if err := f.part(func() (err error) {
			shown, err = f.shown(v.id)
			return err
		}); err != nil {
			return err
		}
		if shown {
			f.page.Uncompared = append(f.page.Uncompared, v.text)
		}
	}
	return nil
}

func (f *finder) waiting() error {
	waiting, err := Queued(f.r, store.Item{}, maxLimit)
	for _, i := range waiting {
		if f.may == nil || f.may(i) {
			f.page.Pending++
		}
	}
	return err
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

// Count says how many images match, whoever may see them, in one view: for tests and measurements of an index that nothing else waits for.
func Count(r store.Records, q Query) (uint64, error) {
	f := &finder{r: r, s: r.Space(space), q: q, part: func(read func() error) error { return read() }, late: func() bool { return false }}
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
	part func(read func() error) error // runs read in a view of its own
	late func() bool                   // it takes too long
	r    store.Records                 // of this part, as s and may
	s    store.SpaceReader
	may  func(store.Item) bool
	q    Query
	page Page

	looked   int // images of this page, whether the caller may see them or not: nobody is told how many
	names    nameGlob
	ranged   Range
	versions *roaring.Bitmap           // those that were asked for
	few      []uint32                  // the same, if they are few
	known    map[uint32]PackageVersion // numbers are never given twice
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

// collect fills the page.
func (f *finder) collect(images *roaring.Bitmap, after uint32) error {
	if f.versions.GetCardinality() <= maxFew {
		f.few = f.versions.ToArray()
	}
	it := images.Iterator()
	it.AdvanceIfNeeded(after + 1)
	for it.HasNext() {
		if len(f.page.Matches) == f.q.Limit || f.looked >= maxExamined || f.looked > 0 && f.late() {
			f.page.Next = strconv.FormatUint(uint64(after), 10)
			return nil
		}
		if err := f.part(func() error {
			for n := 0; n < partImages && f.looked < maxExamined && it.HasNext() && len(f.page.Matches) < f.q.Limit; n++ {
				after = it.Next()
				f.looked++
				if err := f.add(after); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// add adds an image to the page, if the caller may see it and it still holds what was asked for.
func (f *finder) add(number uint32) error {
	image, held, err := imageOf(f.s, number)
	if err != nil || !held || f.may != nil && !f.may(image) {
		return err
	}
	m, err := f.match(image)
	if err == nil && len(m.Packages) > 0 {
		f.page.Matches = append(f.page.Matches, m)
	}
	return err
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
