package vulns

import (
	"strconv"
	"strings"

	"github.com/assay-registry/assay/sbom/advisory"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/osv"
	"github.com/assay-registry/assay/store"
)

// State is what is installed, and how far matching is.
type State struct {
	Generation  uint64     `json:"generation"`
	Databases   []Database `json:"databases"`
	Packages    uint64     `json:"packages"`              // package versions that are matched
	Pending     int        `json:"pending,omitempty"`     // that wait to be matched, counted up to 1000
	Undelivered int        `json:"undelivered,omitempty"` // deltas that no listener took, counted up to 1000
	Importing   bool       `json:"importing,omitempty"`   // an import runs, or was cut off and is not tidied up yet
}

const maxCounted = 1000

// Status reads the state.
func Status(r store.Records) (State, error) {
	s := r.Space(space)
	st, err := decodeState(nilIfEmpty(s.Get(keyState)))
	if err != nil {
		return State{}, err
	}
	c, err := readCursor(r)
	if err != nil {
		return State{}, err
	}
	out := State{Generation: st.head, Packages: c.packages, Importing: st.stage != 0}
	if out.Databases, err = (reading{s, st.head}).databases(); err != nil {
		return State{}, err
	}
	waiting, err := index.Versions(r, index.ID(c.matched), maxCounted)
	out.Pending = len(waiting)
	out.Undelivered = len(s.Scan([]byte("d"), []byte("e"), maxCounted))
	return out, err
}

// Revision changes whenever findings or what they are reported with may: who decides by a report commits only if it is still the same. It is 0 before the first import, and
// where its record is damaged, which every other function reports.
func Revision(r store.Records) uint64 {
	head, err := readHead(r)
	if err != nil {
		return 0
	}
	return head.generation
}

// AffectedPage is a part of the images that a vulnerability concerns, in the order in which they were first indexed.
type AffectedPage struct {
	IDs     []string        `json:"ids"` // what it goes by
	Images  []AffectedImage `json:"images"`
	Next    string          `json:"next,omitempty"`    // the parameter after of the next page. A page may be empty and not the last: work is bounded
	Pending int             `json:"pending,omitempty"` // images that the caller may see and that are on their way, not in the answer yet; of the first 1000 in the queue, and of the first 1000 with new packages
}

// AffectedImage is an image with its packages that a vulnerability concerns.
type AffectedImage struct {
	Image    store.Item             `json:"-"`
	Packages []index.PackageVersion `json:"packages"` // at most 100
}

const (
	maxPage          = 1000
	defaultPage      = 100
	maxExamined      = 20_000 // images per page
	maxImagePackages = 100
	maxRounds        = 3 // how far aliases are followed
	maxAdvisories    = 1000
)

// Affected pages through the images that a vulnerability concerns, by any identifier of it or of an advisory. may says which the caller may see; limit 0 means 100, at most 1000.
// Errors: CodeNotFound where no database knows the identifier, CodeInvalid.
func Affected(r store.Records, id string, may func(store.Item) bool, after string, limit int) (AffectedPage, error) {
	head, err := readHead(r)
	if err != nil {
		return AffectedPage{}, err
	}
	from := uint64(0)
	if after != "" {
		if from, err = strconv.ParseUint(after, 10, 32); err != nil {
			return AffectedPage{}, store.Errorf(store.CodeInvalid, "%.40q is no place in the list; take it from the page before", after)
		}
	}
	if limit <= 0 {
		limit = defaultPage
	}
	page := AffectedPage{Images: []AffectedImage{}}
	versions, err := head.concernedBy(id, &page)
	if err != nil {
		return page, err
	}
	if page.Pending, err = head.pending(r, may); err != nil {
		return page, err
	}
	ids := make([]index.ID, 0, len(versions))
	for _, v := range sortedIDs(versions) {
		ids = append(ids, index.ID(v))
	}
	images, err := index.Holding(r, ids)
	if err != nil {
		return page, err
	}
	for examined := 0; examined < maxExamined; {
		const step = 500
		list, err := index.ImagesOf(r, images, uint32(from), step)
		if err != nil {
			return page, err
		}
		for _, n := range list {
			from = uint64(n.Number)
			if examined++; may != nil && !may(n.Image) {
				continue
			}
			one, err := affectedImage(r, n.Image, versions)
			if err != nil {
				return page, err
			}
			if page.Images = append(page.Images, one); len(page.Images) == min(limit, maxPage) {
				page.Next = strconv.FormatUint(from, 10)
				return page, nil
			}
		}
		if len(list) < step {
			return page, nil
		}
	}
	page.Next = strconv.FormatUint(from, 10)
	return page, nil
}

// pending counts images on their way that the caller may see: those in the index's queue, and those that hold package versions which wait to be matched; the first of each.
func (r reading) pending(records store.Records, may func(store.Item) bool) (n int, err error) {
	count := func(i store.Item) { n += side(may == nil || may(i)) }
	queued, err := index.Queued(records, store.Item{}, maxCounted)
	if err != nil {
		return 0, err
	}
	for _, i := range queued {
		count(i)
	}
	c, err := decodeCursor(nilIfEmpty(r.s.Get(keyCursor)))
	if err != nil {
		return 0, err
	}
	waiting, err := index.Versions(records, index.ID(c.matched), maxCounted)
	if err != nil || len(waiting) == 0 {
		return n, err
	}
	ids := make([]index.ID, len(waiting))
	for i := range waiting {
		ids[i] = waiting[i].ID
	}
	images, err := index.Holding(records, ids)
	if err != nil {
		return 0, err
	}
	list, err := index.ImagesOf(records, images, 0, maxCounted)
	for _, i := range list {
		count(i.Image)
	}
	return n, err
}

func affectedImage(r store.Records, i store.Item, versions map[uint32]bool) (AffectedImage, error) {
	out := AffectedImage{Image: i}
	ids, err := index.IDs(r, i)
	if err != nil {
		return out, err
	}
	for _, id := range ids {
		if !versions[uint32(id)] || len(out.Packages) == maxImagePackages {
			continue
		}
		v, err := index.Version(r, id)
		if err != nil {
			return out, err
		}
		if v != nil {
			out.Packages = append(out.Packages, *v)
		}
	}
	return out, nil
}

// concernedBy finds the package versions with findings about a vulnerability, and what it goes by.
func (r reading) concernedBy(id string, page *AffectedPage) (map[uint32]bool, error) {
	if !osv.ValidID(id) {
		return nil, store.Errorf(store.CodeInvalid, "%.60q is no identifier of a vulnerability: CVE-2021-44228, GHSA-jfh8-c2jp-5v3q", id)
	}
	found, names := map[advisory.ID]*advisory.Known{}, map[string]bool{}
	next := []string{id}
	for range maxRounds {
		var more []string
		for _, name := range next {
			ids, list, err := r.linked(name)
			if err != nil {
				return nil, err
			}
			for n, a := range list {
				if found[ids[n]] != nil || len(found) == maxAdvisories {
					continue
				}
				found[ids[n]] = a
				if len(a.CVEs) > 1 && !strings.EqualFold(a.ID, id) { // about others, too
					continue
				}
				for _, alias := range a.Identifiers() {
					if !names[alias] {
						names[alias] = true
						more = append(more, alias)
					}
				}
			}
		}
		if next = more; len(next) == 0 {
			break
		}
	}
	if len(found) == 0 {
		return nil, store.Errorf(store.CodeNotFound, "no database that is installed knows %s", id)
	}
	page.IDs = sortedKeys(names)
	if len(page.IDs) == 0 {
		page.IDs = []string{id}
	}
	versions := map[uint32]bool{}
	for id, a := range found {
		if err := r.heldBy(id, a, func(v uint32) { versions[v] = true }); err != nil {
			return nil, err
		}
	}
	return versions, nil
}
