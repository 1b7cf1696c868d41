package vulns

import (
	"cmp"
	"context"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/pack"
	"github.com/assay-registry/assay/store"
)

// Delta says what a change brought: an import, or the first match of new package versions.
type Delta struct {
	Database   string // empty: a first match
	Generation uint64
	Added      int // advisories; of EPSS and KEV, entries
	Removed    int
	Changed    int
	IDs        []string        // of those, at most 1000, in byte order
	Names      int             // names of packages that were evaluated again
	Packages   []index.ID      // whose findings changed, or were matched for the first time; rising
	Images     *roaring.Bitmap // that hold any of them, by their numbers in the index (index.ImagesOf)
	Queued     []store.Item    // images still in the index's queue, without a number, that hold any of them
	Narrowed   bool            // the database is gone, speaks of less than before, or of something from an older source: images without any finding are in doubt, too
	Widened    bool            // the database speaks of something of which it did not
}

const (
	maxIDsTold  = 1000
	deltaPage   = 1 << 17 // package versions per record of the outbox
	maxCompared = 20_000  // changed versions that queued images are compared with one by one; with more, all queued images count
	queuedPage  = 256
)

// delivery is a delta as it waits in the outbox.
type delivery struct {
	database                string
	generation              uint64
	added, removed, changed int
	ids                     []string
	names                   int
	versions                []uint32
	narrowed, widened       bool
}

// put writes a delivery in as many records as it needs, of which the first has the numbers.
func (d *delivery) put(c *cursor, writes map[string][]byte) {
	for first := true; first || len(d.versions) > 0; first = false {
		part := *d
		part.versions = d.versions[:min(len(d.versions), deltaPage)]
		d.versions = d.versions[len(part.versions):]
		if !first {
			part.added, part.removed, part.changed, part.ids, part.names, part.narrowed, part.widened = 0, 0, 0, nil, 0, false, false
		}
		writes[string(sequenceKey('d', c.outbox))] = part.encode()
		c.outbox++
	}
	if d.database != "" {
		c.imports = c.outbox
	}
}

func (d *delivery) encode() []byte {
	w := pack.Writer{}
	w.Text(d.database)
	for _, n := range [...]uint64{d.generation, uint64(d.added), uint64(d.removed), uint64(d.changed), uint64(d.names)} {
		w.Number(n)
	}
	w.Texts(d.ids)
	w.B = append(w.B, packIDs(d.versions)...)
	w.Number(uint64(side(d.narrowed) + 2*side(d.widened)))
	return w.Record()
}

func decodeDelivery(b []byte) (*delivery, error) {
	r := pack.Open(b)
	d := &delivery{database: r.Text(), generation: r.Number()}
	for _, n := range [...]*int{&d.added, &d.removed, &d.changed, &d.names} {
		*n = int(r.Small())
	}
	d.ids, d.versions = r.Texts(), r.Ascending()
	if len(r.B) > 0 { // older records do not say
		n := r.Number()
		d.narrowed, d.widened = n&1 != 0, n&2 != 0
	}
	if !r.Done() {
		return nil, pack.Damaged("delta")
	}
	return d, nil
}

// Deliver tells the listener what waits, in order, and answers how many records it took.
func (x *Matcher) Deliver(ctx context.Context) (int, error) {
	if x.listen == nil {
		return 0, nil
	}
	x.telling.Lock()
	defer x.telling.Unlock()
	for n := 0; ; {
		var keys map[string][]byte
		var delta Delta
		if err := x.local.View(ctx, func(s store.Snapshot) error {
			d, taken, err := waiting(s.Space(space))
			if keys = taken; err != nil || d == nil {
				return err
			}
			delta, err = d.delta(s.Records)
			return err
		}); err != nil || len(keys) == 0 {
			return n, err
		}
		if err := x.listen(ctx, delta); err != nil {
			return n, err
		}
		if err := x.commit(ctx, nil, keys); err != nil {
			return n, err
		}
		n += len(keys)
	}
}

// joinedDeltas is how many first matches are told as one delta.
const joinedDeltas = 64

// waiting reads the delta that waits longest; first matches that follow each other are one. keys are its records, to be deleted.
func waiting(s store.SpaceReader) (first *delivery, keys map[string][]byte, err error) {
	keys = map[string][]byte{}
	for _, p := range s.Scan([]byte("d"), []byte("e"), joinedDeltas) {
		d, err := decodeDelivery(p.Value)
		if err != nil {
			return nil, nil, err
		}
		switch {
		case first == nil:
			first = d
		case first.database == "" && d.database == "" && len(first.versions)+len(d.versions) <= deltaPage:
			first.versions, first.generation = append(first.versions, d.versions...), d.generation
		default:
			return first, keys, nil
		}
		keys[string(p.Key)] = nil
	}
	return first, keys, nil
}

// delta says which images a delivery is about, as the index is now.
func (d *delivery) delta(r store.Records) (Delta, error) {
	out := Delta{Database: d.database, Generation: d.generation, Added: d.added, Removed: d.removed, Changed: d.changed, IDs: d.ids, Names: d.names, Narrowed: d.narrowed, Widened: d.widened}
	slices.Sort(d.versions)
	for _, id := range slices.Compact(d.versions) {
		out.Packages = append(out.Packages, index.ID(id))
	}
	if len(out.Packages) == 0 {
		out.Images = roaring.New()
		return out, nil
	}
	var err error
	if out.Images, err = index.Holding(r, out.Packages); err == nil {
		out.Queued, err = queuedWith(r, out.Packages)
	}
	return out, err
}

// identity is what tells package versions apart in an image that has no numbers yet.
type identity struct{ purl, name, version, source, sourceVersion string }

func identityOf(v *index.PackageVersion) identity {
	return identity{v.PURL, v.Name, v.Version, v.Source, v.SourceVersion}
}

// queuedWith lists the queued images that hold any of the versions.
func queuedWith(r store.Records, ids []index.ID) (out []store.Item, err error) {
	if index.Pending(r, 1) == 0 {
		return nil, nil
	}
	changed := map[identity]bool{}
	if len(ids) <= maxCompared {
		for _, id := range ids {
			v, err := index.Version(r, id)
			if err != nil {
				return nil, err
			}
			if v != nil {
				changed[identityOf(v)] = true
			}
		}
	}
	var after store.Item
	for {
		page, err := index.Queued(r, after, queuedPage)
		if err != nil {
			return nil, err
		}
		for _, i := range page {
			if len(ids) > maxCompared {
				out = append(out, i)
				continue
			}
			e, err := index.Image(r, i)
			if err != nil {
				return nil, err
			}
			if e != nil && slices.ContainsFunc(e.Packages, func(v index.PackageVersion) bool { return changed[identityOf(&v)] }) {
				out = append(out, i)
			}
		}
		if len(page) < queuedPage {
			slices.SortFunc(out, func(a, b store.Item) int {
				return cmp.Or(cmp.Compare(a.Repository, b.Repository), cmp.Compare(a.Digest, b.Digest))
			})
			return out, nil
		}
		after = page[len(page)-1]
	}
}
