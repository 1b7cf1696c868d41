package vulns

import (
	"context"
	"math/rand/v2"

	"github.com/assay-registry/assay/sbom/advisory"
	"github.com/assay-registry/assay/sbom/ecosystem"
	"github.com/assay-registry/assay/sbom/exploit"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/osv"
	"github.com/assay-registry/assay/sbom/pack"
	"github.com/assay-registry/assay/store"
)

// Kept is how many bytes are kept of what decisions read of an image.
func Kept(r store.Records, image store.Item) int { return len(r.Space(space).Get(keptKey(image))) }

// Grouped brings together what shares a name, by places.
func Grouped(names [][]string) (groups [][]int) {
	all, at := make([]said, len(names)), map[*string]int{}
	for n, list := range names {
		all[n].names, at[&list[0]] = list, n
	}
	for _, group := range grouped(all) {
		var places []int
		for _, s := range group {
			places = append(places, at[&s.names[0]])
		}
		groups = append(groups, places)
	}
	return groups
}

// FoundBytes are the sizes of all records of findings, together.
func FoundBytes(r store.Records) (versions, bytes int) {
	for _, p := range r.Space(space).Scan([]byte("f"), []byte("g"), 1<<20) {
		versions, bytes = versions+1, bytes+len(p.Value)
	}
	return versions, bytes
}

// Sweep looks at every package version.
func (x *Matcher) Sweep(ctx context.Context) { x.sweep(ctx, 0) }

// Hold has an import hold at most so many bytes.
func (x *Matcher) Hold(n int) { x.held = n }

// Page has an import read so many versions of a name at once.
func (x *Matcher) Page(n int) { x.page = n }

// Space is where everything lies.
const Space = space

// Reevaluate evaluates every name of the installed databases again, as an import does that changes all of them, and answers how many names and package versions that were.
func (x *Matcher) Reevaluate(ctx context.Context, database string) (names int, err error) {
	d, err := x.load(ctx, database)
	if err != nil {
		return 0, err
	}
	info := Info{Name: database, Built: d.Built, Digest: "other"}
	_, err = x.within(ctx, info, d.Kind, func(ctx context.Context, s *session) error {
		s.now.Advisories = d.Advisories
		return x.local.View(ctx, func(snap store.Snapshot) error {
			for _, p := range snap.Space(space).Scan([]byte("n"), []byte("o"), 1<<20) {
				k, _, _ := entryIn(p.Key)
				s.evaluate[k.Key] = true
			}
			names = len(s.evaluate)
			return nil
		})
	})
	return names, err
}

func (x *Matcher) load(ctx context.Context, database string) (d *Database, err error) {
	err = x.local.View(ctx, func(s store.Snapshot) error {
		d, err = decodeDatabase(database, s.Space(space).Get(databaseKey(database)))
		return err
	})
	return d, err
}

// Age makes the store look as if other rules had matched its first package version.
func (x *Matcher) Age(ctx context.Context) error {
	old := ecosystem.Sought{Key: ecosystem.Key{Base: "npm", Name: "other"}, Release: ecosystem.AnyRelease, Version: "1.0.0"}
	writes := map[string][]byte{string(versionKey('p', 1)): encodeMatched([]ecosystem.Sought{old}, "onpm\x00"), string(namedVersion(old.Key, 1)): encodeSought(0, old)}
	if err := x.local.View(ctx, func(s store.Snapshot) error {
		names, _, err := decodeMatched(s.Space(space).Get(versionKey('p', 1)))
		for _, n := range names {
			writes[string(namedVersion(n.Key, 1))] = nil
		}
		c, _ := decodeCursor(s.Space(space).Get(keyCursor))
		c.rules = rules - 1
		writes[string(keyCursor)] = c.encode()
		return err
	}); err != nil {
		return err
	}
	return x.commit(ctx, nil, writes)
}

// DecodeAll reads bytes as each kind of record.
func DecodeAll(b []byte) {
	_, _ = decodeState(b)
	_, _ = decodeCursor(b)
	_, _ = decodeKept(b)
	_, _ = decodeDatabase("x", b)
	_, _ = advisory.DecodeKnown("x", b)
	_, _, _ = decodeMatches(b)
	_, _, _ = decodeMatched(b)
	_, _ = decodeChunk(b)
	_, _, _ = decodeSought(ecosystem.Key{Base: "npm", Name: "x"}, b)
	_, _ = decodeDelivery(b)
	_, _, _ = exploit.DecodeEPSS(b, 7)
	_, _ = exploit.DecodeKEV(2024, b)
	_, _, _ = decodeCell(b)
	_, _ = visible(b, 3)
	_, _, _ = entryIn(b)
	_ = advisory.EachItem(b, func(packed []byte) {
		r := pack.Reader{B: packed}
		advisory.DecodeItem(&r)
	})
	if len(b) > 1 {
		_, _, _ = linkIn(b)
	}
}

// RoundTrip compiles an advisory, and reports whether its records are read as they were written.
func RoundTrip(a *osv.Advisory, raw []byte) bool {
	k, items := advisory.Compile(a, raw)
	b := k.Encode()
	again, err := advisory.DecodeKnown(k.ID, b)
	if err != nil || string(again.Encode()) != string(b) || again.Sum() != k.Sum() {
		return false
	}
	for _, i := range items {
		w := pack.Writer{}
		i.Encode(&w)
		r := pack.Reader{B: w.B}
		j := advisory.DecodeItem(&r)
		again := pack.Writer{}
		j.Encode(&again)
		if !r.Done() || string(again.B) != string(w.B) {
			return false
		}
	}
	return true
}

// Numbers are those of the installed databases.
func (x *Matcher) Numbers(ctx context.Context) map[string]uint16 {
	all := map[string]uint16{}
	_ = x.local.View(ctx, func(s store.Snapshot) error {
		list, err := reading{s: s.Space(space)}.databases()
		for _, d := range list {
			all[d.Name] = d.number
		}
		return err
	})
	return all
}

// Again is a report that rests on what databases say alone: every package is decoded and matched.
func Again(r store.Records, image store.Item) (*Report, error) {
	e, err := index.Image(r, image)
	if err != nil || e == nil {
		return nil, err
	}
	b, c, err := newBuilder(r)
	if err != nil {
		return nil, err
	}
	c.matched = 0
	if err := b.list(e.Packages, c); err != nil {
		return nil, err
	}
	b.report.Image = image
	b.finished().Pending = 0
	return b.report, nil
}

// ChunkSize is how many package versions a chunk has.
const ChunkSize = chunkSize

// ChunkRoundTrip makes a chunk of random content, and reports whether it is read as it was written, as a whole and at rising numbers.
func ChunkRoundTrip(rnd *rand.Rand) bool {
	c := &chunk{classes: []string{"", "onpm\x00", "sDebian\x0012", "ogeneric", "unused"}}
	class := uint16(0)
	for n := range c.of {
		if rnd.IntN(20) == 0 {
			class = uint16(rnd.IntN(4))
		}
		c.of[n] = class
		c.mark(uint32(n), rnd.IntN(5) == 0)
	}
	b := c.encode()
	d, err := decodeChunk(b)
	if err != nil || d.found != c.found || string(d.encode()) != string(b) {
		return false
	}
	v, err := openChunk(b)
	for n := uint32(0); n < chunkSize && err == nil; n += 1 + uint32(rnd.IntN(50)) {
		k, err := v.at(n)
		if err != nil || string(v.classes[k]) != c.classes[c.of[n]] || v.has(n) != (c.found[n/8]&(1<<(n%8)) != 0) {
			return false
		}
	}
	return err == nil
}

// Downgrade leaves the store as the rules before these did: without chunks, classes, and the index's numbering.
func (x *Matcher) Downgrade(ctx context.Context) error {
	return x.local.Update(ctx, func(tx *store.Txn) error {
		s := tx.Space(space)
		for _, p := range s.Scan([]byte("c"), []byte("d"), 1<<20) {
			s.Delete(p.Key)
		}
		for _, p := range s.Scan([]byte("p"), []byte("q"), 1<<20) {
			_, class, err := decodeMatched(p.Value)
			if err != nil {
				return err
			}
			s.Put(p.Key, p.Value[:len(p.Value)-len(class)-1])
		}
		c, err := decodeCursor(s.Get(keyCursor))
		w := pack.Writer{}
		for _, n := range [...]uint64{2, uint64(c.matched), c.packages, c.outbox} {
			w.Number(n)
		}
		s.Put(keyCursor, w.Record())
		return err
	})
}
