package index

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

// Reader reads the stored document of an image's inventory. A nil inventory without error means that there is none.
type Reader func(ctx context.Context, image store.Item, origin Origin) (*sbom.Inventory, error)

// Check verifies that the postings are exactly what the images' sets say, chunk of images by chunk, each in one snapshot, so that it may run beside a
// server; that names, versions and licences lead to each other; and, with read set, that the sets are what the stored documents say. It reports at most
// limit problems.
func Check(ctx context.Context, local *store.Local, read Reader, limit int) ([]store.Problem, error) {
	c := &checker{limit: limit}
	last := uint32(0)
	if err := local.View(ctx, func(s store.Snapshot) error {
		c.s = s.Space(space)
		var err error
		if c.counts, err = readCounters(c.s.Get([]byte("#"))); err != nil {
			c.report("#", "the record is damaged")
		}
		last = c.counts[countImages]
		return nil
	}); err != nil {
		return nil, err
	}
	var all []Numbered
	for chunk := range chunkOf(last) + 1 {
		if err := local.View(ctx, func(s store.Snapshot) error {
			c.s = s.Space(space)
			images := c.chunk(chunk)
			if read != nil {
				all = append(all, images...)
			}
			return nil
		}); err != nil || len(c.problems) >= limit {
			return c.problems, err
		}
	}
	if err := c.pages(ctx, local); err != nil {
		return c.problems, err
	}
	for _, i := range all {
		if err := c.document(ctx, local, i.Image, read); err != nil || len(c.problems) >= limit {
			return c.problems, err
		}
	}
	return c.problems, nil
}

type checker struct {
	s        store.SpaceReader
	problems []store.Problem
	limit    int
	counts   [counters]uint32
	licenses map[string]*set // postings of licences that were read in this snapshot
}

func (c *checker) report(key, format string, args ...any) {
	if len(c.problems) < c.limit {
		c.problems = append(c.problems, store.Problem{Key: "package index " + key, What: fmt.Sprintf(format, args...)})
	}
}

// chunk compares the postings of a chunk with the sets of its images.
func (c *checker) chunk(chunk uint32) (images []Numbered) {
	c.licenses = map[string]*set{}
	want := map[string]*set{}
	add := func(key []byte, n uint32) {
		m := want[string(key)]
		if m == nil {
			m = &set{}
			want[string(key)] = m
		}
		m.add(n)
	}
	members := map[uint32][]uint32{} // of versions
	for _, p := range c.s.Scan(numberKey('m', chunk*chunkSize), numberKey('m', (chunk+1)*chunkSize), chunkSize) {
		n, _ := numberIn(p.Key, 0)
		image, ok := imageIn(append([]byte{'m'}, p.Value...))
		if !ok {
			c.report(fmt.Sprintf("image %d", n), "the record is damaged")
			continue
		}
		images = append(images, Numbered{n, image})
		add(repositoryKey(image.Repository, chunk), n)
		set := c.image(image, n)
		for _, id := range set {
			add(numberKey('i', chunk, id), n)
			if _, known := members[id]; !known {
				members[id] = c.version(id, chunk)
			}
			for _, l := range members[id] {
				add(numberKey('j', chunk, l), n)
			}
		}
	}
	for _, class := range [...]byte{'i', 'j'} {
		c.compare(numberKey(class, chunk), func([]byte) bool { return true }, want)
	}
	c.compare([]byte("k"), func(k []byte) bool {
		return len(k) > 5 && binary.BigEndian.Uint32(k[len(k)-4:]) == chunk
	}, want)
	for key := range want {
		c.report(legible(key), "the posting is missing")
	}
	return images
}

// image reads the set of an image and checks what leads to it.
func (c *checker) image(image store.Item, n uint32) []uint32 {
	name := string(image.Repository) + "@" + string(image.Digest)
	f, err := decodeForward(c.s.Get(imageKey('f', image)))
	if err != nil || f.number != n {
		c.report(name, "the record is damaged, missing, or of another number than %d", n)
		return nil
	}
	set, err := decodeSet(c.s.Get(textKey('s', f.set)))
	if err != nil {
		c.report(name, "its set of packages is missing or damaged")
		return nil
	}
	if c.s.Get(numberKey0(textKey('r', f.set), n)) == nil {
		c.report(name, "its set does not know that the image has it")
	}
	return set
}

// version checks a version that an image of the chunk has, and lists its licences.
func (c *checker) version(id, chunk uint32) []uint32 {
	name := fmt.Sprintf("version %d", id)
	v, err := decodeStored(c.s.Get(numberKey('p', id)))
	if err != nil {
		c.report(name, "the record is damaged or missing")
		return nil
	}
	if !slices.Contains(v.chunks, chunk) {
		c.report(name, "it does not know that images of chunk %d have it", chunk)
	}
	full, err := complete(c.s.Get, id, v)
	if err != nil {
		c.report(name, "its name or a licence of it is missing")
		return nil
	}
	if b := c.s.Get(versionKey(v.name, full.Version, full.sum())); len(b) != 4 || binary.BigEndian.Uint32(b) != id {
		c.report(name, "%s %s does not lead to it", full.Name, full.Version)
	}
	if b := c.s.Get(textKey('n', full.Name)); len(b) != 4 || binary.BigEndian.Uint32(b) != v.name {
		c.report(name, "the name %s does not lead to it", full.Name)
	}
	for _, l := range v.members {
		if !c.declares(l, id) {
			c.report(name, "its licence %d does not lead to it", l)
		}
	}
	return v.members
}

// declares reports whether the postings of a licence have a version.
func (c *checker) declares(license, id uint32) bool {
	key := string(numberKey('c', license, chunkOf(id)))
	m := c.licenses[key]
	if m == nil {
		m = &set{}
		if orInto(m[:], c.s.Get([]byte(key))) != nil {
			return false
		}
		c.licenses[key] = m
	}
	return m[id%chunkSize/64]&(1<<(id%64)) != 0
}

// compare checks the stored postings of a range against those wanted, and takes off want what is there.
func (c *checker) compare(prefix []byte, own func([]byte) bool, want map[string]*set) {
	for from := prefix; ; {
		page := c.s.Scan(from, upTo(prefix), 4096)
		for _, p := range page {
			if !own(p.Key) {
				continue
			}
			m := set{}
			err := orInto(m[:], p.Value)
			switch w := want[string(p.Key)]; {
			case err != nil:
				c.report(legible(string(p.Key)), "the posting is damaged")
			case w == nil || *w != m:
				c.report(legible(string(p.Key)), "the posting has %d images; the images' sets say %d", m.size(), w.size())
			}
			delete(want, string(p.Key))
		}
		if len(page) < 4096 {
			return
		}
		from = append(page[len(page)-1].Key, 0)
	}
}

func (s *set) size() (n int) {
	if s != nil {
		for _, w := range s {
			n += bits.OnesCount64(w)
		}
	}
	return n
}

// legible shows a key of postings.
func legible(key string) string {
	if key[0] == 'k' {
		repo, _, _ := strings.Cut(key[1:], "\x00")
		return "repository " + repo
	}
	chunk, _ := numberIn([]byte(key), 0)
	n, _ := numberIn([]byte(key), 1)
	return fmt.Sprintf("posting %c of chunk %d, number %d", key[0], chunk, n)
}

// pages checks record by record what belongs to no chunk: that everything is reached, and leads to what reaches it.
func (c *checker) pages(ctx context.Context, local *store.Local) error {
	for _, class := range [...]byte{'p', 'f', 'r', 's', 'v', 'n', 'N', 'l', 'L', 'c', 'q', 'w'} {
		from := []byte{class}
		for more := true; more && len(c.problems) < c.limit; {
			if err := local.View(ctx, func(s store.Snapshot) error {
				c.s = s.Space(space)
				page := c.s.Scan(from, []byte{class + 1}, 4096)
				for _, p := range page {
					c.single(p)
				}
				if more = len(page) == 4096; more {
					from = append(page[len(page)-1].Key, 0)
				}
				return nil
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

// single checks one record.
func (c *checker) single(p store.Pair) {
	n, _ := numberIn(p.Key, 0)
	fault := ""
	if kind := strings.IndexByte("#NpmL", p.Key[0]); kind > 0 && n >= c.currently(kind) {
		fault = "its number was never given"
	}
	switch rest := string(p.Key[1:]); p.Key[0] {
	case 'p':
		fault = cmp.Or(fault, c.reached(n, p.Value))
	case 'f':
		image, ok := imageIn(p.Key)
		f, err := decodeForward(p.Value)
		if !ok || err != nil || string(c.s.Get(numberKey('m', f.number))) != string(imageKey('m', image)[1:]) {
			fault = "the image's number does not lead to it"
		}
	case 'r':
		if len(rest) != sumSize+4 || c.s.Get(textKey('s', rest[:sumSize])) == nil {
			fault = "the set that an image has is missing"
		}
	case 's':
		if len(c.s.Scan(textKey('r', rest), upTo(textKey('r', rest)), 1)) == 0 {
			fault = "no image has the set"
		}
	case 'v':
		if v, err := decodeStored(c.s.Get(valueKey('p', p.Value))); err != nil || v.name != n {
			fault = "the version's record is missing or of another name"
		}
	case 'n':
		if string(c.s.Get(valueKey('N', p.Value))) != rest {
			fault = "the name's number does not lead to it"
		}
	case 'N':
		if string(c.s.Get(textKey('n', string(p.Value)))) != rest {
			fault = "the name does not lead to its number"
		}
	case 'l':
		if licenseText(string(c.s.Get(valueKey('L', p.Value)))) != rest {
			fault = "the licence's number does not lead to it"
		}
	case 'L':
		if string(c.s.Get(textKey('l', licenseText(string(p.Value))))) != rest {
			fault = "the licence does not lead to its number"
		}
	case 'c':
		fault = c.declared(p, n)
	case 'q':
		if len(p.Value) == 0 || p.Value[0] == opPut && c.s.Get(textKey('w', rest)) == nil {
			fault = "the inventory of a queued image is missing"
		}
	case 'w':
		if _, err := decodeQueued(p.Value); err != nil || c.s.Get(textKey('q', rest)) == nil {
			fault = "the inventory is damaged, or of no queued image"
		}
	}
	if fault != "" {
		c.report(fmt.Sprintf("%+q", p.Key), "%s", fault)
	}
}

// currently is the next number of a kind that is given.
func (c *checker) currently(kind int) uint32 {
	counts, err := readCounters(c.s.Get([]byte("#")))
	if err != nil {
		return c.counts[kind]
	}
	return counts[kind]
}

// valueKey is the key that a number in a value leads to.
func valueKey(class byte, value []byte) []byte { return append([]byte{class}, value...) }

// reached checks that the chunks which a version names have postings of it.
func (c *checker) reached(id uint32, value []byte) string {
	v, err := decodeStored(value)
	if err != nil || len(v.chunks) == 0 {
		return "the version's record is damaged, or no image has it"
	}
	for _, chunk := range v.chunks {
		if c.s.Get(numberKey('i', chunk, id)) == nil {
			return "the version has no posting in a chunk that it names"
		}
	}
	return ""
}

// declared checks that the versions in a licence's posting declare it.
func (c *checker) declared(p store.Pair, license uint32) string {
	chunk, ok := numberIn(p.Key, 1)
	m := set{}
	if !ok || orInto(m[:], p.Value) != nil {
		return "the posting is damaged"
	}
	for w, word := range m {
		for ; word != 0; word &= word - 1 {
			id := chunk<<chunkBits + uint32(w*64+bits.TrailingZeros64(word))
			if v, err := decodeStored(c.s.Get(numberKey('p', id))); err != nil || !slices.Contains(v.members, license) {
				return fmt.Sprintf("the version %d in it does not declare the licence", id)
			}
		}
	}
	return ""
}

// document compares what the index has of an image with its stored document.
func (c *checker) document(ctx context.Context, local *store.Local, image store.Item, read Reader) error {
	var e *Entry
	if err := local.View(ctx, func(s store.Snapshot) (err error) {
		e, err = Image(s.Records, image)
		return err
	}); err != nil || e == nil || e.Pending {
		return err // gone or replaced meanwhile
	}
	name := string(image.Repository) + "@" + string(image.Digest)
	inv, err := read(ctx, image, e.Origin)
	if err != nil {
		return err
	}
	if inv == nil {
		c.report(name, "its document %s is gone", e.Origin.Document)
		return nil
	}
	want := map[string]bool{}
	for _, v := range versionsOf(inv) {
		want[v.Name+"\x00"+v.Version+"\x00"+string(v.sum())] = true
	}
	for i := range e.Packages {
		v := &e.Packages[i]
		key := v.Name + "\x00" + v.Version + "\x00" + string(v.sum())
		if !want[key] {
			c.report(name, "it is indexed with %s %s, which its document does not have", v.Name, v.Version)
		}
		delete(want, key)
	}
	for key := range want {
		part := strings.SplitN(key, "\x00", 3)
		c.report(name, "its document has %s %s, which is not indexed", part[0], part[1])
	}
	return nil
}
