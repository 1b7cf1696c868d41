package index

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

// inParts hands a list to read, so many at a time, each in a view of its own.
func inParts[T any](f *finder, list []T, size int, read func(part []T) error) error {
	for part := range slices.Chunk(list, size) {
		if f.late() {
			return errTooLong()
		}
		if err := f.part(func() error { return read(part) }); err != nil {
			return err
		}
	}
	return nil
}

// inPages hands what a part of the space holds to read, so many at a time, each in a view of its own.
func (f *finder) inPages(from, to []byte, size int, read func([]store.Pair) error) error {
	for from != nil {
		if f.late() {
			return errTooLong()
		}
		if err := f.part(func() error {
			page := f.s.Scan(from, to, size)
			if from = nil; len(page) == size {
				from = append(slices.Clip(page[size-1].Key), 0)
			}
			return read(page)
		}); err != nil {
			return err
		}
	}
	return nil
}

func errTooLong() error {
	return store.Errorf(store.CodeInvalid, "the query takes longer than %v; name the package or the licence more exactly, or a repository", maxFinding)
}

func errTooWide() error {
	return store.Errorf(store.CodeInvalid, "the query selects more than %d package versions; name the package more exactly", maxVersions)
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
		if f.versions, err = f.selected(f.versions); err != nil {
			return nil, err
		}
		var u union
		if err := inParts(f, f.versions.ToArray(), partVersions, func(ids []uint32) error { return u.hold(f.s, ids) }); err != nil {
			return nil, err
		}
		images = u.bitmap()
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
	var numbers []uint32
	if err := f.inPages(prefix, upTo(prefix), partNames, func(page []store.Pair) error {
		for _, p := range page {
			if !wanted.match(string(p.Key[1:])) || len(p.Value) != 4 {
				continue
			}
			if numbers = append(numbers, binary.BigEndian.Uint32(p.Value)); len(numbers) > maxLicenses {
				return store.Errorf(store.CodeInvalid, "the query selects more than %d licences; name the licence more exactly", maxLicenses)
			}
		}
		return nil
	}); err != nil {
		return nil, err
	}
	var images, versions union
	if err := inParts(f, numbers, partLicenses, func(part []uint32) error {
		counts, err := readCounters(f.s.Get([]byte("#")))
		if err != nil {
			return err
		}
		for _, number := range part {
			if err := f.license(number, chunkOf(counts[countImages]), &images, &versions); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return nil, err
	}
	f.versions = versions.bitmap()
	return images.bitmap(), nil
}

// license adds the images and versions of one licence.
func (f *finder) license(number, last uint32, images, versions *union) error {
	own := numberKey('c', number)
	for _, c := range f.s.Scan(own, upTo(own), maxChunks) {
		chunk, ok := numberIn(c.Key, 1)
		if !ok {
			return damaged("posting")
		}
		if err := versions.or(chunk, c.Value); err != nil {
			return err
		}
	}
	for chunk := range last + 1 {
		if b := f.s.Get(numberKey('j', chunk, number)); b != nil {
			if err := images.or(chunk, b); err != nil {
				return err
			}
		}
	}
	return nil
}

// selected finds the versions by name and range, within those given if there are any.
func (f *finder) selected(within *roaring.Bitmap) (*roaring.Bitmap, error) {
	if f.q.Pattern == "" {
		return f.declared(within)
	}
	names := []string{f.names.pattern}
	if f.names.wild {
		var err error
		if names, err = f.named(); err != nil {
			return nil, err
		}
	}
	numbers := make([]uint32, 0, len(names)) // of the names that there are
	kinds := make([]Matcher, 0, len(names))
	if err := inParts(f, names, partVersions, func(part []string) error {
		for _, name := range part {
			if b := f.s.Get(textKey('n', name)); len(b) == 4 {
				numbers, kinds = append(numbers, binary.BigEndian.Uint32(b)), append(kinds, f.matcher(name))
			}
		}
		return nil
	}); err != nil {
		return nil, err
	}
	return f.versionsOf(numbers, kinds, within)
}

// declared finds the versions in the range among those given.
func (f *finder) declared(within *roaring.Bitmap) (*roaring.Bitmap, error) {
	if within.GetCardinality() > maxVersions {
		return nil, errTooWide()
	}
	out := roaring.New()
	return out, inParts(f, within.ToArray(), partVersions, func(ids []uint32) error {
		for _, id := range ids {
			if f.s.Get(numberKey('p', id)) == nil {
				continue // no image has it any more
			}
			v, err := f.version(id)
			if err != nil {
				return err
			}
			if f.inRange(f.ranged.For(v.Type, v.Ecosystem()), id, v.Version) {
				out.Add(id)
			}
		}
		return nil
	})
}

// named finds the names that match.
func (f *finder) named() (names []string, err error) {
	prefix := textKey('n', f.names.prefix)
	seen := 0
	return names, f.inPages(prefix, upTo(prefix), partNames, func(page []store.Pair) error {
		for _, p := range page {
			if name := string(p.Key[1:]); f.names.match(name) {
				names = append(names, name)
			}
		}
		if seen += len(page); seen > maxNames || len(names) > maxVersions {
			return errTooWide()
		}
		return nil
	})
}

// matcher is what the range means for the versions of a name.
func (f *finder) matcher(name string) Matcher {
	kind, ecosystem := "unknown", ""
	if u, err := sbom.ParsePURL(name); err == nil && u.Type != "unknown" {
		kind, ecosystem = u.Type, Ecosystem(u.Type, u.Namespace, sbom.Distro{}) // Debian and Ubuntu order alike
	}
	return f.ranged.For(kind, ecosystem)
}

// versionsOf finds the versions of names, by their numbers, that are in their ranges.
func (f *finder) versionsOf(names []uint32, ranges []Matcher, within *roaring.Bitmap) (*roaring.Bitmap, error) {
	out := roaring.New()
	var from []byte // where to go on with the first of names; nil: at its beginning
	for len(names) > 0 {
		if f.late() {
			return nil, errTooLong()
		}
		if err := f.part(func() error {
			for left := partVersions; left > 0 && len(names) > 0; {
				prefix := numberKey('v', names[0])
				if from == nil {
					from = prefix
				}
				page := f.s.Scan(from, upTo(prefix), left)
				if err := f.take(page, len(prefix), ranges[0], within, out); err != nil {
					return err
				}
				if len(page) == left {
					from = append(slices.Clip(page[left-1].Key), 0)
					return nil
				}
				left -= len(page) + 1
				names, ranges, from = names[1:], ranges[1:], nil
			}
			return nil
		}); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// take adds the versions of a page that are in the range to out.
func (f *finder) take(page []store.Pair, prefix int, ranged Matcher, within, out *roaring.Bitmap) error {
	for _, p := range page {
		id, text, err := versionIn(p, prefix)
		if err != nil {
			return err
		}
		if (within == nil || within.Contains(id)) && f.inRange(ranged, id, text) {
			out.Add(id)
		}
	}
	if out.GetCardinality() > maxVersions {
		return errTooWide()
	}
	return nil
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
	for from := []byte("k"); from != nil; {
		if f.late() {
			return nil, errTooLong()
		}
		if err := f.part(func() (err error) {
			for n := 0; n < partRepositories && from != nil && err == nil; n++ {
				from, err = f.repository(from, &u)
			}
			return err
		}); err != nil {
			return nil, err
		}
	}
	return u.bitmap(), nil
}

// repository adds the images of the next repository, if it is asked for, and returns where the one after begins; nil at the end.
func (f *finder) repository(from []byte, u *union) (next []byte, err error) {
	page := f.s.Scan(from, []byte("l"), 1)
	if len(page) == 0 {
		return nil, nil
	}
	repo, _, ok := strings.Cut(string(page[0].Key[1:]), "\x00")
	if !ok {
		return nil, damaged("repository")
	}
	prefix := append(textKey('k', repo), 0)
	if f.q.Repositories.Match(store.Name(repo)) {
		for _, p := range f.s.Scan(prefix, upTo(prefix), maxChunks) {
			if len(p.Key) < len(prefix)+4 {
				return nil, damaged("repository")
			}
			if err := u.or(binary.BigEndian.Uint32(p.Key[len(prefix):]), p.Value); err != nil {
				return nil, err
			}
		}
	}
	return upTo(prefix), nil
}
