package index

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

// Entry is what the index knows of an image.
type Entry struct {
	Image     store.Item       `json:"-"`
	Origin    Origin           `json:"origin"`
	Format    string           `json:"format,omitempty"`
	Generator string           `json:"generator,omitempty"`
	Distro    sbom.Distro      `json:"distro,omitzero"`
	Packages  []PackageVersion `json:"packages"` // each version once; in the order of their IDs, or of the document while Pending
	Pending   bool             `json:"pending,omitempty"`
}

// Image reads the entry of an image; nil means that it has none. What is queued counts: it is part of the commit that brought it.
func Image(r store.Records, image store.Item) (*Entry, error) {
	e, ids, err := Inventory(r, image)
	if err != nil || e == nil || e.Pending {
		return e, err
	}
	e.Packages = make([]PackageVersion, len(ids))
	for i, id := range ids {
		if e.Packages[i], err = version(r.Space(space), uint32(id)); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// Inventory reads the entry of an image as Image does, without reading package versions: while it is queued, the entry has them, else their numbers are returned, rising.
func Inventory(r store.Records, image store.Item) (*Entry, []ID, error) {
	s := r.Space(space)
	if q := s.Get(imageKey('q', image)); len(q) > 0 {
		if q[0] == opDrop {
			return nil, nil, nil
		}
		payload, err := decodeQueued(s.Get(imageKey('w', image)))
		if err != nil {
			return nil, nil, err
		}
		return &Entry{image, payload.origin, payload.format, payload.generator, payload.distro, payload.versions, true}, nil, nil
	}
	b := s.Get(imageKey('f', image))
	if b == nil {
		return nil, nil, nil
	}
	f, err := decodeForward(b)
	if err != nil {
		return nil, nil, err
	}
	list, err := decodeSet(s.Get(textKey('s', f.set)))
	if err != nil {
		return nil, nil, err
	}
	ids := make([]ID, len(list))
	for i, n := range list {
		ids[i] = ID(n)
	}
	return &Entry{Image: image, Origin: f.origin, Format: f.format, Generator: f.generator, Distro: f.distro}, ids, nil
}

// Stamp is another text whenever an image's inventory is another, or is kept by other numbers; queued tells that it has none yet. It is empty where there is no inventory.
func Stamp(r store.Records, image store.Item) (stamp string, queued bool, err error) {
	s := r.Space(space)
	if q := s.Get(imageKey('q', image)); len(q) > 0 {
		if q[0] == opDrop {
			return "", false, nil
		}
		return string(q), true, nil
	}
	b := s.Get(imageKey('f', image))
	if b == nil {
		return "", false, nil
	}
	f, err := decodeForward(b)
	if err != nil {
		return "", false, err
	}
	sum := sha256.Sum256(append(binary.BigEndian.AppendUint32([]byte(f.set), f.number), Numbering(r)...)) // a set's sum is as long as any other
	return "f" + string(sum[:sumSize]), false, nil
}

// Numbering is another text whenever numbers that were given may be given again, which takes damage or a Reset: who remembers numbers remembers it, too. It is empty before
// the first image.
func Numbering(r store.Records) string { return string(r.Space(space).Get(keyNumbering)) }

func version(s store.SpaceReader, id uint32) (PackageVersion, error) {
	b := s.Get(numberKey('p', id))
	if b == nil {
		return PackageVersion{}, damaged("package version")
	}
	v, err := decodeStored(b)
	if err != nil {
		return PackageVersion{}, err
	}
	return complete(s.Get, id, v)
}

// IDs lists the versions that an indexed image holds, rising, without reading them. An image that is queued or unknown has none.
func IDs(r store.Records, image store.Item) ([]ID, error) {
	s := r.Space(space)
	b := s.Get(imageKey('f', image))
	if b == nil {
		return nil, nil
	}
	f, err := decodeForward(b)
	if err != nil {
		return nil, err
	}
	list, err := decodeSet(s.Get(textKey('s', f.set)))
	ids := make([]ID, len(list))
	for i, n := range list {
		ids[i] = ID(n)
	}
	return ids, err
}

// Version reads one package version; nil means that no image has it any more.
func Version(r store.Records, id ID) (*PackageVersion, error) {
	s := r.Space(space)
	if s.Get(numberKey('p', uint32(id))) == nil {
		return nil, nil
	}
	v, err := version(s, uint32(id))
	return &v, err
}

// Versions lists at most limit package versions after the given ID, rising: whoever remembers the last one sees every new version once.
func Versions(r store.Records, after ID, limit int) ([]PackageVersion, error) {
	s := r.Space(space)
	var list []PackageVersion
	for _, p := range s.Scan(numberKey('p', uint32(after)+1), []byte("q"), limit) {
		id, ok := numberIn(p.Key, 0)
		if !ok {
			return nil, damaged("package version")
		}
		v, err := decodeStored(p.Value)
		if err != nil {
			return nil, err
		}
		full, err := complete(s.Get, id, v)
		if err != nil {
			return nil, err
		}
		list = append(list, full)
	}
	return list, nil
}

// versionIn reads a version of a name, whose key begins with a prefix of so many bytes.
func versionIn(p store.Pair, prefix int) (id uint32, text string, err error) {
	if len(p.Value) != 4 || len(p.Key) < prefix+9 {
		return 0, "", damaged("package version")
	}
	return binary.BigEndian.Uint32(p.Value), string(p.Key[prefix : len(p.Key)-9]), nil
}

// Names lists at most limit names after the given one that match a pattern (see Query.Pattern), in byte order, and where to go on: "" at the end.
func Names(r store.Records, pattern, after string, limit int) (names []string, next string, err error) {
	g, err := parseName(pattern)
	if err != nil {
		return nil, "", err
	}
	s := r.Space(space)
	from, end := textKey('n', g.prefix), upTo(textKey('n', g.prefix))
	if after != "" && after >= g.prefix {
		from = append(textKey('n', after), 0)
	}
	for seen := 0; len(names) < limit; {
		page := s.Scan(from, end, 1024)
		for _, p := range page {
			name := string(p.Key[1:])
			if g.match(name) {
				if names = append(names, name); len(names) == limit {
					return names, name, nil
				}
			}
		}
		if len(page) < 1024 {
			return names, "", nil
		}
		from = append(page[len(page)-1].Key, 0)
		if seen += len(page); seen >= maxNames {
			return names, string(page[len(page)-1].Key[1:]), nil
		}
	}
	return names, "", nil
}

// Holding returns the numbers of the images that hold any of the versions. Versions that are gone have none.
func Holding(r store.Records, ids []ID) (*roaring.Bitmap, error) {
	list := make([]uint32, len(ids))
	for i, id := range ids {
		list[i] = uint32(id)
	}
	return holding(r.Space(space), list)
}

func holding(s store.SpaceReader, ids []uint32) (*roaring.Bitmap, error) {
	var u union
	if err := u.hold(s, ids); err != nil {
		return nil, err
	}
	return u.bitmap(), nil
}

// Numbered is an image with its number in the index.
type Numbered struct {
	Number uint32
	Image  store.Item
}

// ImagesOf lists at most limit images of a bitmap from Holding, after a number, rising. Images that were dropped are left out.
func ImagesOf(r store.Records, m *roaring.Bitmap, after uint32, limit int) ([]Numbered, error) {
	s := r.Space(space)
	var list []Numbered
	it := m.Iterator()
	it.AdvanceIfNeeded(after + 1)
	for it.HasNext() && len(list) < limit {
		n := it.Next()
		image, held, err := imageOf(s, n)
		if err != nil {
			return nil, err
		}
		if held {
			list = append(list, Numbered{n, image})
		}
	}
	return list, nil
}

// imageOf reads which image a number is; held is false where a drop is queued.
func imageOf(s store.SpaceReader, n uint32) (image store.Item, held bool, err error) {
	b := s.Get(numberKey('m', n))
	if b == nil {
		return image, false, nil
	}
	image, ok := imageIn(append([]byte{'m'}, b...))
	if !ok {
		return image, false, damaged("image")
	}
	q := s.Get(imageKey('q', image))
	return image, len(q) == 0 || q[0] != opDrop, nil
}

// Pending counts the images that are queued, up to limit.
func Pending(r store.Records, limit int) int {
	return len(r.Space(space).Scan([]byte("q"), []byte("r"), limit))
}

// Queued lists at most limit images whose inventory waits in the queue, after a given one (the zero Item: from the beginning), in byte order.
func Queued(r store.Records, after store.Item, limit int) ([]store.Item, error) {
	from := []byte("q")
	if after.Repository != "" {
		from = append(imageKey('q', after), 0)
	}
	var list []store.Item
	s := r.Space(space)
	for len(list) < limit {
		page := s.Scan(from, []byte("r"), limit)
		for _, p := range page {
			image, ok := imageIn(p.Key)
			if !ok || len(p.Value) == 0 {
				return nil, damaged("queue record")
			}
			if p.Value[0] == opPut && len(list) < limit {
				list = append(list, image)
			}
		}
		if len(page) < limit {
			break
		}
		from = append(page[len(page)-1].Key, 0)
	}
	return list, nil
}
